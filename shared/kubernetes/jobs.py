"""A job as a Kubernetes Job: one pod under Pod Security `restricted`, once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.job import Job, JobPhase
from shared.kubernetes import pods
from shared.kubernetes.api_server import ApiServer, Kind, Manifest
from shared.kubernetes.launcher import ClusterJobs, Shape, labels

JOB = Kind("batch", "v1", "Job", "jobs")
FILES = "/var/run/codex"
WORK = "/workspace"
_USER = 65532
_KEPT_SECONDS = 86_400
# A container without limits may take a node from everybody else.
RESOURCES = {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "4Gi"}}


@dataclass(frozen=True, slots=True)
class PodSettings:
    """What the pods of all jobs have.

    `kept_seconds` is how long a Job stays after its end was recorded. `secret` is a Secret of the job's
    namespace whose keys become environment variables, like the key of a model.
    """

    image: str
    service_account: str = "default"
    resources: Mapping[str, Any] | None = None
    kept_seconds: int = _KEPT_SECONDS
    grace_seconds: int = 30
    secret: str = ""


def kubernetes_jobs(server: ApiServer, settings: PodSettings, namespace: str) -> ClusterJobs:
    """Jobs of mode `direct`."""
    shape = Shape(
        kind=JOB,
        manifest=lambda job: manifest(job, settings),
        held=lambda found: bool(found["spec"].get("suspend")),
        release={"spec": {"suspend": False}},
        # Not before: what the cluster deletes on its own must have been recorded.
        retire={"spec": {"ttlSecondsAfterFinished": settings.kept_seconds}},
        retired=lambda found: found["spec"].get("ttlSecondsAfterFinished") is not None,
        verdict=verdict,
        pod_label="batch.kubernetes.io/job-name",
    )
    return ClusterJobs(server, shape, namespace)


def manifest(job: Job, settings: PodSettings) -> Manifest:
    """The Job, suspended."""
    marks = labels(job, "Job")
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": {"name": job.name, "labels": marks, "annotations": dict(job.annotations)},
        "spec": {
            "suspend": True,
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": job.deadline_seconds,
            "template": {"metadata": {"labels": marks}, "spec": _pod(job, settings)},
        },
    }


def verdict(found: Manifest, its_pods: Sequence[Manifest]) -> tuple[JobPhase, str]:
    """Where a Job that was released stands."""
    for condition in (found.get("status") or {}).get("conditions") or []:
        if condition.get("status") != "True":
            continue
        if condition.get("type") == "Complete":
            return JobPhase.SUCCEEDED, ""
        if condition.get("type") == "Failed":
            if condition.get("reason") == "DeadlineExceeded":
                return JobPhase.EXPIRED, "the deadline has passed"
            return pods.failed(its_pods)
    return pods.active(its_pods)


def _pod(job: Job, settings: PodSettings) -> Manifest:
    return {
        "restartPolicy": "Never",
        "serviceAccountName": job.service_account or settings.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": settings.grace_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(job, settings)],
        "volumes": [
            {"name": "task", "secret": {"secretName": job.name, "defaultMode": 0o440}},
            {"name": "work", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def _container(job: Job, settings: PodSettings) -> Manifest:
    env = {**job.env, **{variable: f"{FILES}/{variable}" for variable in job.files}, "HOME": WORK}
    return {
        "name": "codex",
        "image": job.image or settings.image,
        **({"command": list(job.command)} if job.command else {}),
        "workingDir": WORK,
        "env": [{"name": name, "value": value} for name, value in env.items()],
        **({"envFrom": [{"secretRef": {"name": settings.secret}}]} if settings.secret else {}),
        "resources": dict(settings.resources or RESOURCES),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "task", "mountPath": FILES, "readOnly": True},
            {"name": "work", "mountPath": WORK},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # an emptyDir of the pod's own
        ],
    }
