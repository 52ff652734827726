"""What pods say of their container, in words for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.domain.job import JobPhase
from shared.domain.redaction import redact

Pod = Mapping[str, Any]

# Said by the kubelet of a container that does not start; the first will never.
_UNSTARTABLE = {"InvalidImageName": "the image has no valid name"}
_WAITING = {
    "ErrImagePull": "the image cannot be pulled",
    "ImagePullBackOff": "the image cannot be pulled",
    "ErrImageNeverPull": "the image is not on the node",
    "RegistryUnavailable": "the image registry is away",
    "CreateContainerConfigError": "the container's configuration is wrong",
    "CreateContainerError": "the container cannot be created",
    "RunContainerError": "the container cannot be run",
}
_OVER = {"Succeeded", "Failed"}
_MESSAGE_CHARACTERS = 200


def active(pods: Sequence[Pod]) -> tuple[JobPhase, str]:
    """Of a job that is not over: whether its container runs, and if not, why.

    Of several pods, as a Workflow has them, one that runs is enough. If the others are over it has started too.
    """
    statuses = [pod.get("status") or {} for pod in pods]
    phases = {status.get("phase") for status in statuses}
    if "Running" in phases:
        return JobPhase.RUNNING, ""
    for waiting in (each for status in statuses for each in _states(status, "waiting")):
        if said := _UNSTARTABLE.get(waiting.get("reason", "")):
            return JobPhase.UNSTARTED, _sentence(said, waiting)
    if phases & _OVER:
        return JobPhase.RUNNING, ""
    for status in statuses:
        for waiting in _states(status, "waiting"):
            if said := _WAITING.get(waiting.get("reason", "")):
                return JobPhase.PENDING, _sentence(said, waiting)
        for condition in status.get("conditions") or []:
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                return JobPhase.PENDING, _sentence("no node has room for the pod", condition)
    return JobPhase.PENDING, ""


def failed(pods: Sequence[Pod]) -> tuple[JobPhase, str]:
    """Of a job that failed: how its container ended."""
    for pod in pods:
        status = pod.get("status") or {}
        if status.get("reason") == "Evicted":
            return JobPhase.EVICTED, _sentence("the pod was evicted", status)
        for condition in status.get("conditions") or []:
            if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
                return JobPhase.EVICTED, _sentence("the pod was taken off its node", condition)
        for end in _states(status, "terminated"):
            code = end.get("exitCode", 0)
            if end.get("reason") == "OOMKilled":
                return JobPhase.FAILED, "the container ran out of memory (OOMKilled): raise its limit"
            if code:
                return JobPhase.FAILED, f"the container failed: exit code {code}"
        if status.get("phase") == "Failed":
            return JobPhase.FAILED, _sentence("the pod failed", status)
    if pods and all((pod.get("status") or {}).get("phase") == "Succeeded" for pod in pods):
        return JobPhase.FAILED, ""  # not the container: the job says why
    return JobPhase.LOST, "its pod is gone: it was deleted, or its node was lost"


def _states(status: Mapping[str, Any], state: str) -> list[Mapping[str, Any]]:
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return [found for each in containers if (found := (each.get("state") or {}).get(state))]


def _sentence(said: str, source: Mapping[str, Any]) -> str:
    message = " ".join(redact(str(source.get("message") or source.get("reason") or "")).split())
    return f"{said}: {message[:_MESSAGE_CHARACTERS]}" if message else said
