"""Stands in for scheduler and node: runs the pods of one namespace as processes of this machine."""

import contextlib
import re
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import urllib3

from tests.cluster.api import Api, ApiError
from tests.cluster.containers import Container, Object, reason, start
from tests.cluster.volumes import NotReady, materialise, mounted

NODE = "played-node"
_MISSING_IMAGES = "missing.invalid/"
_FINAL = ("Succeeded", "Failed")
_LABEL = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
# The pod has changed or gone meanwhile: the next tick sees what it is now.
_PASSING = (404, 409, 422, 429, 500)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Kubelet:
    """Advances every pod by one step at each `tick`; `close`, or the end of a `with`, ends every process.

    The first container alone is run, from its command and args: there are no images, so an image is only a name, but
    for one below `missing.invalid/`, which cannot be pulled. Nothing is restarted, whatever the restartPolicy. These
    are no containers: securityContext, resources and probes are ignored, and the whole machine can be seen. Volumes
    are folders; those that are no Secret, ConfigMap or emptyDir are empty.
    """

    def __init__(self, api: Api, namespace: str, folder: Path) -> None:
        self._api = api
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._namespace = namespace
        self._folder = folder
        self._running: dict[str, Container] = {}

    def tick(self) -> None:
        """One look at all pods. A server that does not answer is asked again at the next one."""
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            try:
                pods = self._api.list(self._pods)
            except ApiError as error:
                if error.status in _PASSING:
                    return
                raise
            for pod in pods:
                self._advance(pod)
            for uid in self._running.keys() - {pod["metadata"]["uid"] for pod in pods}:
                self._running.pop(uid).kill()

    def log(self, pod: Object) -> str:
        """What the pod's container has said."""
        path = self._folder / pod["metadata"]["uid"] / "output.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self) -> None:
        """End every process; the server is told nothing, as by a node that loses its power."""
        for container in self._running.values():
            container.kill()
        self._running.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _advance(self, pod: Object) -> None:
        container = self._running.get(pod["metadata"]["uid"])
        try:
            if "deletionTimestamp" in pod["metadata"]:
                self._end(pod, container)
            elif pod["status"].get("phase") in _FINAL:
                self._forget(pod)
            elif container is not None:
                self._watch(pod, container)
            elif pod["status"].get("phase", "Pending") == "Pending":
                self._start(pod)
        except ApiError as error:
            if error.status not in _PASSING:
                raise

    def _start(self, pod: Object) -> None:
        self._bind(pod)
        spec = pod["spec"]["containers"][0]
        folder = self._folder / pod["metadata"]["uid"]
        try:
            if spec["image"].startswith(_MISSING_IMAGES):
                raise _unpullable(pod, spec["image"])
            volumes = materialise(self._api, self._namespace, pod["spec"], folder / "volumes")
            container = start(spec, mounted(spec, volumes), folder, lambda path: _field(pod, path))
        except NotReady as waits:
            self._tell(pod, "Pending", {"waiting": {"reason": waits.reason, "message": str(waits)}})
            return
        except OSError as error:
            self._tell(pod, "Failed", {"terminated": _terminated(128, "StartError", str(error))})
            return
        self._running[pod["metadata"]["uid"]] = container
        self._tell(pod, "Running", {"running": {"startedAt": now()}})

    def _bind(self, pod: Object) -> None:
        if pod["spec"].get("nodeName"):
            return
        name = pod["metadata"]["name"]
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        self._api.create(f"{self._pods}/{name}/binding", binding)

    def _watch(self, pod: Object, container: Container) -> None:
        code = container.exit_code()
        if code is not None:
            state = {"terminated": _terminated(code, reason(code, container))}
            self._tell(pod, "Failed" if code else "Succeeded", state)
            self._forget(pod)
        elif pod["status"].get("phase") == "Pending":  # the server did not hear that it runs
            self._tell(pod, "Running", {"running": {"startedAt": now()}})

    def _end(self, pod: Object, container: Container | None) -> None:
        """Stop what runs; once nothing does, tell how it ended and take the pod away for good."""
        if container is not None:
            code = container.exit_code()
            if code is None:
                container.stop(pod["metadata"].get("deletionGracePeriodSeconds", 30))
                return
            state = {"terminated": _terminated(code, reason(code, container))}
            self._tell(pod, "Failed" if code else "Succeeded", state)
            self._forget(pod)
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        self._api.delete(f"{self._pods}/{pod['metadata']['name']}", options)

    def _forget(self, pod: Object) -> None:
        self._running.pop(pod["metadata"]["uid"], None)

    def _tell(self, pod: Object, phase: str, state: Object) -> None:
        """Patch the status, unless it says so already."""
        spec = pod["spec"]["containers"][0]
        running = "running" in state
        container = {"name": spec["name"], "image": spec["image"], "imageID": "", "restartCount": 0}
        container |= {"ready": running, "started": running, "state": state}
        ready = {"type": "Ready", "status": "True" if running else "False", "lastTransitionTime": now()}
        known = (pod["status"].get("containerStatuses") or [{}])[0]
        if known.get("state") == state and pod["status"].get("phase") == phase:
            return
        status = {"phase": phase, "startTime": pod["status"].get("startTime") or now(), "hostIP": "127.0.0.1"}
        status |= {"podIP": "127.0.0.1", "conditions": [ready], "containerStatuses": [container]}
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        self._api.merge(f"{self._pods}/{pod['metadata']['name']}/status", body)


def _terminated(code: int, why: str, message: str = "") -> Object:
    told = {"exitCode": code, "reason": why, "finishedAt": now()}
    return told | ({"message": message} if message else {})


def _unpullable(pod: Object, image: str) -> NotReady:
    known = (pod["status"].get("containerStatuses") or [{}])[0].get("state", {}).get("waiting", {})
    if known.get("reason") in ("ErrImagePull", "ImagePullBackOff"):
        return NotReady("ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull')
    told = f'failed to pull and unpack image "{image}": failed to resolve reference: no such host'
    return NotReady("ErrImagePull", told)


def _field(pod: Object, path: str) -> str:
    marked = _LABEL.fullmatch(path)
    if marked:
        return str((pod["metadata"].get(marked[1]) or {}).get(marked[2], ""))
    if path in ("metadata.name", "metadata.namespace", "metadata.uid"):
        return str(pod["metadata"][path.removeprefix("metadata.")])
    known = {
        "spec.nodeName": NODE,
        "spec.serviceAccountName": str(pod["spec"].get("serviceAccountName", "")),
        "status.podIP": "127.0.0.1",
        "status.hostIP": "127.0.0.1",
    }
    if path not in known:
        raise NotReady("CreateContainerConfigError", f"unsupported fieldPath: {path}")
    return known[path]
