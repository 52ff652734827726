"""Stands in for Argo's workflow-controller: runs the Workflows of one namespace as processes of this machine."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import urllib3

from tests.cluster.api import Api, ApiError
from tests.cluster.containers import Container, Object, reason, start
from tests.cluster.volumes import NotReady, materialise, mounted
from tests.cluster.workflow_spec import Unusable, complete_spec, entry_pod

PHASE, COMPLETED = "workflows.argoproj.io/phase", "workflows.argoproj.io/completed"
_FINAL = ("Succeeded", "Failed", "Error")
_LATE = "Step exceeded its deadline"
_GRACE_SECONDS = 5.0
# The Workflow has changed or gone meanwhile: the next tick sees what it is now.
_PASSING = (404, 409, 422, 429, 500)


class WorkflowController:
    """Advances every Workflow by one step at each `tick`; `close`, or the end of a `with`, ends every process.

    As Argo does, it reads the template and says Running as soon as it sees a Workflow, also one that is suspended: that
    holds back the container only, and its activeDeadlineSeconds count already. One container template is all that is
    run, without a pod and without `status.nodes`. A Secret that is missing is waited for. Statuses are patched on the
    object itself, which has no status subresource.
    """

    def __init__(self, api: Api, namespace: str, folder: Path) -> None:
        self._api = api
        self._workflows = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows"
        self._namespace = namespace
        self._folder = folder
        self._running: dict[str, Container] = {}

    def tick(self) -> None:
        """One look at all Workflows. A server that does not answer is asked again at the next one."""
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            try:
                workflows = self._api.list(self._workflows)
            except ApiError as error:
                if error.status in _PASSING:
                    return
                raise
            for workflow in workflows:
                self._advance(workflow)
            for uid in self._running.keys() - {workflow["metadata"]["uid"] for workflow in workflows}:
                self._running.pop(uid).kill()

    def log(self, workflow: Object) -> str:
        """What the container of the Workflow has said."""
        path = self._folder / workflow["metadata"]["uid"] / "output.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self) -> None:
        """End every process; the server is told nothing."""
        for container in self._running.values():
            container.kill()
        self._running.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _advance(self, workflow: Object) -> None:
        try:
            try:
                self._step(workflow, workflow.get("status") or {})
            except Unusable as unusable:
                self._tell(workflow, unusable.phase, str(unusable))
        except ApiError as error:
            if error.status not in _PASSING:
                raise

    def _step(self, workflow: Object, status: Object) -> None:
        uid = workflow["metadata"]["uid"]
        container = self._running.get(uid)
        if "deletionTimestamp" in workflow["metadata"]:
            if container:
                self._running.pop(uid).kill()
        elif status.get("phase") in _FINAL:
            self._running.pop(uid, None)
        elif container:
            self._watch(workflow, status, container)
        elif not status.get("phase"):
            self._see(workflow)
        elif not workflow["spec"].get("suspend"):
            self._start(workflow, status)

    def _see(self, workflow: Object) -> None:
        """Keep what the template says now: it is what will be run, whatever becomes of the template."""
        spec = complete_spec(self._api, workflow)
        entry_pod(workflow, spec)
        self._tell(workflow, "Running", stored=spec)

    def _start(self, workflow: Object, status: Object) -> None:
        spec = status["storedWorkflowTemplateSpec"]
        if shutdown := workflow["spec"].get("shutdown"):
            return self._tell(workflow, "Failed", f"Stopped with strategy '{shutdown}'")
        if _is_late(spec, status):
            return self._tell(workflow, "Failed", _LATE)
        pod, folder = entry_pod(workflow, spec), self._folder / workflow["metadata"]["uid"]
        container = pod["containers"][0]
        try:
            volumes = materialise(self._api, self._namespace, pod, folder / "volumes")
            started = start(container, mounted(container, volumes), folder, lambda path: _field(workflow, path))
        except NotReady:
            return None
        except OSError as error:
            return self._tell(workflow, "Failed", f"main: StartError (exit code 128): {error}")
        self._running[workflow["metadata"]["uid"]] = started
        return None

    def _watch(self, workflow: Object, status: Object, container: Container) -> None:
        spec, shutdown = status["storedWorkflowTemplateSpec"], workflow["spec"].get("shutdown")
        late, code = _is_late(spec, status), container.exit_code()
        if code is None:
            if shutdown or late:
                container.stop(_GRACE_SECONDS)
        elif shutdown and container.stopping:
            self._tell(workflow, "Failed", f"Stopped with strategy '{shutdown}'")
        elif container.stopping:
            self._tell(workflow, "Failed", _LATE)
        elif code:
            self._tell(workflow, "Failed", f"main: {reason(code, container)} (exit code {code})")
        else:
            self._tell(workflow, "Succeeded")

    def _tell(self, workflow: Object, phase: str, message: str = "", stored: Object | None = None) -> None:
        final = phase in _FINAL
        status: Object = {"phase": phase, "startedAt": (workflow.get("status") or {}).get("startedAt") or _now()}
        status["finishedAt"] = _now() if final else None
        if message:
            status["message"] = message
        if stored is not None:
            status["storedWorkflowTemplateSpec"] = stored
        if final:
            status["conditions"] = [{"type": "Completed", "status": "True"}]
        labels = {PHASE: phase, COMPLETED: "true" if final else "false"}
        metadata = {"uid": workflow["metadata"]["uid"], "labels": labels}
        path = f"{self._workflows}/{workflow['metadata']['name']}"
        self._api.merge(path, {"metadata": metadata, "status": status})
        if final:
            self._running.pop(workflow["metadata"]["uid"], None)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_late(spec: Object, status: Object) -> bool:
    seconds = spec.get("activeDeadlineSeconds")
    started = datetime.fromisoformat(status["startedAt"])
    return seconds is not None and (datetime.now(UTC) - started).total_seconds() > seconds


def _field(workflow: Object, path: str) -> str:
    fields = {"metadata.name": workflow["metadata"]["name"], "metadata.namespace": workflow["metadata"]["namespace"]}
    if path not in fields:
        raise NotReady("CreateContainerConfigError", f"unsupported fieldPath: {path}")
    return str(fields[path])
