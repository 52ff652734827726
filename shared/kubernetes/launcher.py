"""The launch protocol of everything that runs as an object of a cluster.

Secret, then the object held, then the Secret owned by the object, and later the release: no crash in
between leaves a pod that waits for its Secret, and what nobody goes on with is found by its labels.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.errors import Rejected, Unavailable
from shared.domain.job import Job, JobPhase, JobState
from shared.kubernetes.api_server import ApiServer, Kind, Manifest
from shared.kubernetes.refusals import AlreadyThere, Changed

TASK = "codex.proompteng.ai/task"
ATTEMPT = "codex.proompteng.ai/attempt"
MANAGED = "app.kubernetes.io/managed-by"
OURS = f"{MANAGED}=facteur,{TASK}"
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_LOOKS = 5
# A Secret holds 1 MiB; etcd takes requests of 1.5 MiB, and the server adds to what it is sent.
_MOST_BYTES_OF_SECRET, _MOST_BYTES = 1024 * 1024, 1_400_000
_MOST_CHARACTERS = _MOST_BYTES_OF_SECRET // 4  # below that nothing needs to be measured
SECRET = Kind("", "v1", "Secret", "secrets")
POD = Kind("", "v1", "Pod", "pods")


@dataclass(frozen=True, slots=True)
class Shape:
    """How jobs are objects of one kind: made of a job, held and let go by patches, and read."""

    kind: Kind
    manifest: Callable[[Job], Manifest]
    held: Callable[[Manifest], bool]
    release: Mapping[str, Any]
    retire: Mapping[str, Any]
    retired: Callable[[Manifest], bool]
    verdict: Callable[[Manifest, Sequence[Manifest]], tuple[JobPhase, str]]
    pod_label: str


class ClusterJobs:
    """Jobs as objects of one kind. Every method may be repeated; what is not ours is never touched."""

    def __init__(self, server: ApiServer, shape: Shape, namespace: str) -> None:
        """`namespace` is where jobs go that name none."""
        self._server = server
        self._shape = shape
        self._namespace = namespace

    def create(self, job: Job) -> str:
        """Makes the job, held; its uid. One of that name is success if it is this task's attempt, else Rejected."""
        if not _NAME.fullmatch(job.name):
            raise Rejected("A job's name is a DNS label: at most 63 of a-z, 0-9 and '-'.")
        if sum(map(len, (*job.files.values(), *job.parameters.values()))) > _MOST_CHARACTERS:
            _check_size(job)
        namespace = job.namespace or self._namespace
        self._create_or_adopt(SECRET, namespace, _secret(job), job)
        made = self._create_or_adopt(self._shape.kind, namespace, self._shape.manifest(job), job)
        uid: str = made["metadata"]["uid"]
        owner = {
            "apiVersion": self._shape.kind.api_version,
            "kind": self._shape.kind.kind,
            "name": job.name,
            "uid": uid,
        }
        if self._server.merge(SECRET, namespace, job.name, {"metadata": {"ownerReferences": [owner]}}) is None:
            raise Unavailable("the Secret of the job was deleted while it was launched", retry_after=1)
        return uid

    def release(self, name: str, namespace: str = "", made: str = "") -> None:
        """Lets it run, if it is still the one that was `made`."""
        patch = {**self._shape.release, **({"metadata": {"uid": made}} if made else {})}
        self._server.merge(self._shape.kind, namespace or self._namespace, name, patch)

    def look(self, name: str, namespace: str = "") -> JobState | None:
        """What became of the job; None where there is none of ours."""
        namespace = namespace or self._namespace
        found = self._server.get(self._shape.kind, namespace, name)
        if found is None or not _labels(found).get(TASK):
            return None
        selector = f"{self._shape.pod_label}={name}"
        pods = [] if self._shape.held(found) else self._server.list(POD, namespace, selector)
        return self._state(found, pods)

    def all(self, namespaces: Collection[str] = ()) -> list[JobState]:
        """Every job of ours in these namespaces and the usual one that is not retired, and Secrets left without one."""
        return [
            state
            for namespace in sorted({namespace or self._namespace for namespace in [*namespaces, self._namespace]})
            for state in self._all_of(namespace)
        ]

    def stop(self, name: str, namespace: str = "") -> None:
        """Deletes the job with its pods and its Secret."""
        self._remove(name, namespace or self._namespace, held_only=False)

    def discard(self, name: str, namespace: str = "") -> None:
        """The same, if it was never released."""
        self._remove(name, namespace or self._namespace, held_only=True)

    def retire(self, name: str, namespace: str = "") -> None:
        """Its end is recorded: from now on the cluster may delete it, after its time."""
        self._server.merge(self._shape.kind, namespace or self._namespace, name, dict(self._shape.retire))

    def ready(self) -> None:
        """Unavailable while the API server is, Rejected if it does not let us see our jobs."""
        self._server.list(self._shape.kind, self._namespace, f"{TASK}=none")

    def _create_or_adopt(self, kind: Kind, namespace: str, manifest: Manifest, job: Job) -> Manifest:
        manifest["metadata"] |= {"namespace": namespace}
        try:
            return self._server.create(kind, namespace, manifest)
        except AlreadyThere:
            found = self._server.get(kind, namespace, job.name)
        if found is None:
            raise Unavailable(f"the {kind.kind} of the job was deleted while it was launched", retry_after=1)
        if (_labels(found).get(TASK), _labels(found).get(ATTEMPT)) != (job.task_id, str(job.attempt)):
            raise Rejected(f"there is a {kind.kind} {job.name} in namespace {namespace} that is not this attempt's")
        return found

    def _all_of(self, namespace: str) -> list[JobState]:
        found = self._server.list(self._shape.kind, namespace, OURS)
        pods: dict[str, list[Manifest]] = {}
        for pod in self._server.list(POD, namespace, TASK):
            pods.setdefault(_labels(pod).get(self._shape.pod_label, ""), []).append(pod)
        states = [self._state(each, pods.get(each["metadata"]["name"], [])) for each in found]
        left = self._server.list(SECRET, namespace, f"{OURS},{KIND}={self._shape.kind.kind}", metadata_only=True)
        alone = [_left_over(secret) for secret in left if not secret["metadata"].get("ownerReferences")]
        known = {state.name for state in states}
        return [state for state in states if not state.retired] + [one for one in alone if one.name not in known]

    def _remove(self, name: str, namespace: str, held_only: bool) -> None:
        for left in reversed(range(_LOOKS)):
            try:
                self._remove_as_it_is(name, namespace, held_only)
                return
            except Changed:  # its controller notes something about it all the time
                if not left:
                    raise

    def _remove_as_it_is(self, name: str, namespace: str, held_only: bool) -> None:
        found = self._server.get(self._shape.kind, namespace, name)
        if found and _labels(found).get(TASK):
            if held_only and not self._shape.held(found):
                return
            metadata = found["metadata"]
            # One that was released since it was looked at is not the one that was held.
            same = {"uid": metadata["uid"]} | ({"resourceVersion": metadata["resourceVersion"]} if held_only else {})
            if not metadata.get("deletionTimestamp"):
                self._server.delete(self._shape.kind, namespace, name, same)
        secret = self._server.get(SECRET, namespace, name)
        if secret and _labels(secret).get(TASK):
            self._server.delete(SECRET, namespace, name, {"uid": secret["metadata"]["uid"]})

    def _state(self, found: Manifest, pods: Sequence[Manifest]) -> JobState:
        metadata = found["metadata"]
        if metadata.get("deletionTimestamp"):
            phase, reason = JobPhase.RUNNING, "it is being deleted"
        elif self._shape.held(found):
            phase, reason = JobPhase.HELD, ""
        else:
            phase, reason = self._shape.verdict(found, pods)
        return _state_of(metadata, phase, reason, self._shape.retired(found))


KIND = "codex.proompteng.ai/kind"


def labels(job: Job, kind: str) -> dict[str, str]:
    """What everything that is made for a job is found by."""
    return {MANAGED: "facteur", TASK: job.task_id, ATTEMPT: str(job.attempt), KIND: kind, **job.labels}


def _check_size(job: Job) -> None:
    """Rejected rather than sent in vain."""
    for texts, most in ((job.files, _MOST_BYTES_OF_SECRET), (job.parameters, _MOST_BYTES)):
        if sum(len(text.encode("utf-8", "replace")) for text in texts.values()) > most:
            raise Rejected("the prompt, with what is shown with it, is larger than a cluster takes: shorten it")


def _secret(job: Job) -> Manifest:
    kind = "Workflow" if job.template else "Job"
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "immutable": True,
        "metadata": {"name": job.name, "labels": labels(job, kind)},
        "stringData": dict(job.files),
    }


def _labels(manifest: Manifest) -> dict[str, str]:
    found: dict[str, str] = manifest["metadata"].get("labels") or {}
    return found


def _left_over(secret: Manifest) -> JobState:
    return _state_of(secret["metadata"], JobPhase.HELD, "", retired=False)


def _state_of(metadata: Manifest, phase: JobPhase, reason: str, retired: bool) -> JobState:
    marks = metadata.get("labels") or {}
    return JobState(
        name=metadata["name"],
        task_id=marks.get(TASK, ""),
        attempt=int(marks[ATTEMPT]) if str(marks.get(ATTEMPT, "")).isdigit() else 0,
        phase=phase,
        reason=reason,
        namespace=metadata.get("namespace", ""),
        made=metadata["uid"],
        retired=retired,
    )
