"""Plays the Job controller: one pod after another until enough have succeeded, too many failed, or time is up."""

import time
from math import inf

from tests.cluster.fake.deletion import delete, without_finalizer
from tests.cluster.fake.job_status import (
    TRACKING,
    Sync,
    finished,
    has_failed,
    is_active,
    is_ready,
    is_terminating,
    past_ttl,
    phase,
    tracked,
)
from tests.cluster.fake.kinds import JOB, NAMESPACE, POD, Object
from tests.cluster.fake.objects import Objects
from tests.cluster.fake.refusals import Refused
from tests.cluster.fake.store import Store, key_of, now

_BACKOFF_SECONDS, _MOST_BACKOFF_SECONDS = 10.0, 600.0
_REACHED = ("CompletionsReached", "Reached expected number of succeeded pods")
_TOO_MANY = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
_TOO_LATE = ("DeadlineExceeded", "Job was active longer than specified deadline")


class JobController:
    """Advances every Job by one step at each `step`; the caller holds the store's lock."""

    def __init__(self, store: Store, objects: Objects) -> None:
        self._store = store
        self._objects = objects
        self._failed_at: dict[str, float] = {}
        self._seen: dict[str, list[str]] = {}
        self._started: dict[str, tuple[str, float]] = {}

    def step(self) -> None:
        pods = self._pods()
        open_jobs = set()
        for job in self._store.all(JOB):
            uid = job["metadata"]["uid"]
            ended = finished(job)
            if ended is None:
                open_jobs.add(uid)
                self._sync_if_needed(Sync(job, pods.get(uid, [])))
            elif past_ttl(job, ended):
                delete(self._store, JOB, job, {"propagationPolicy": "Foreground"})
        for uid, held in pods.items():
            if uid not in open_jobs:  # nobody will ever count them
                for pod in held:
                    self._untrack(pod)
        self._seen = {uid: seen for uid, seen in self._seen.items() if uid in open_jobs}

    def _sync_if_needed(self, sync: Sync) -> None:
        uid, found = sync.job["metadata"]["uid"], sync.versions()
        by_clock = sync.job["spec"].get("activeDeadlineSeconds") is not None or sync.status.get("failed")
        if by_clock or self._seen.get(uid) != found:
            self._seen[uid] = found
            self._sync(sync)

    def _pods(self) -> dict[str, list[Object]]:
        """The pods by the uid of the Job that controls them; those of nobody by an empty one."""
        held: dict[str, list[Object]] = {}
        for pod in self._store.all(POD):
            owners = pod["metadata"].get("ownerReferences") or []
            uids = [owner["uid"] for owner in owners if owner.get("controller")]
            held.setdefault(uids[0] if uids else "", []).append(pod)
        return held

    def _sync(self, sync: Sync) -> None:
        if not sync.suspended:
            sync.status.setdefault("startTime", now())
        self._judge(sync)
        if sync.condition("FailureTarget") or sync.condition("SuccessCriteriaMet"):
            self._end_pods(sync)
        elif not sync.deleting:
            self._manage(sync)
            self._succeed(sync)
        self._count_ended(sync)
        self._tell(sync)

    def _judge(self, sync: Sync) -> None:
        """Whether the Job has failed, by what is known of its pods and the clock."""
        if sync.condition("FailureTarget") or sync.condition("SuccessCriteriaMet"):
            return
        spec = sync.job["spec"]
        failing = sum(tracked(pod) and has_failed(pod) for pod in sync.pods)
        if sync.count("failed") + failing > spec["backoffLimit"]:
            sync.conclude("FailureTarget", "True", *_TOO_MANY)
        elif not sync.suspended and self._running_seconds(sync) >= spec.get("activeDeadlineSeconds", inf):
            sync.conclude("FailureTarget", "True", *_TOO_LATE)

    def _running_seconds(self, sync: Sync) -> float:
        """Since the start; the status tells it in whole seconds, and a deadline of one would come too soon."""
        uid, told = sync.job["metadata"]["uid"], sync.status["startTime"]
        if self._started.get(uid, ("", 0.0))[0] != told:
            self._started[uid] = (told, time.monotonic())
        return time.monotonic() - self._started[uid][1]

    def _end_pods(self, sync: Sync) -> None:
        """Delete what still runs of a Job that is decided. A pod that a failed Job ends counts as failed."""
        for pod in sync.pods:
            if is_active(pod):
                delete(self._store, POD, pod, {"propagationPolicy": "Background"})
        self._reread(sync)

    def _manage(self, sync: Sync) -> None:
        """As many pods as there should be; none while the Job is suspended."""
        active = [pod for pod in sync.pods if is_active(pod)]
        if sync.suspended:
            for pod in active:
                delete(self._store, POD, self._untrack(pod), {"propagationPolicy": "Background"})
        else:
            spec = sync.job["spec"]
            succeeded = sync.count("succeeded") + sum(tracked(pod) and phase(pod) == "Succeeded" for pod in sync.pods)
            wanted = min(spec["parallelism"], spec.get("completions", spec["parallelism"]) - succeeded)
            for _ in range(wanted - len(active) if self._may_start(sync) else 0):
                sync.pods += self._start(sync.job)
        self._reread(sync)

    def _may_start(self, sync: Sync) -> bool:
        failures = sync.count("failed") + sum(tracked(pod) and has_failed(pod) for pod in sync.pods)
        last = self._failed_at.get(sync.job["metadata"]["uid"])
        wait = min(_MOST_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2 ** max(0, failures - 1))
        return failures == 0 or (last is not None and time.monotonic() >= last + wait)

    def _start(self, job: Object) -> list[Object]:
        namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
        where = self._store.find(NAMESPACE, "", namespace)
        if where is None or "deletionTimestamp" in where["metadata"]:
            return []
        template, uid = job["spec"]["template"], job["metadata"]["uid"]
        owner = {"apiVersion": JOB.api_version, "kind": JOB.name, "name": name, "uid": uid, "controller": True}
        marks = {mark: template["metadata"][mark] for mark in ("labels", "annotations") if mark in template["metadata"]}
        metadata = {"generateName": f"{name}-", **marks, "ownerReferences": [{**owner, "blockOwnerDeletion": True}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "finalizers": [TRACKING]}}
        try:
            return [self._objects.create(POD, namespace, {**pod, "spec": template["spec"]})]
        except Refused:  # its ServiceAccount is not there yet, for example
            self._seen.pop(uid)
            return []

    def _succeed(self, sync: Sync) -> None:
        active = any(is_active(pod) for pod in sync.pods)
        succeeded = sync.count("succeeded") + sum(tracked(pod) and phase(pod) == "Succeeded" for pod in sync.pods)
        if succeeded >= sync.job["spec"].get("completions", 1) and not active:
            sync.conclude("SuccessCriteriaMet", "True", *_REACHED)
        elif sync.suspended:
            sync.conclude("Suspended", "True", "JobSuspended", "Job suspended")
        else:
            sync.conclude("Suspended", "False", "JobResumed", "Job resumed")

    def _count_ended(self, sync: Sync) -> None:
        """Count each pod once: the finalizer that is taken away says that it was."""
        failed_job = sync.condition("FailureTarget") is not None
        for pod in sync.pods:
            if not tracked(pod):
                continue
            if phase(pod) == "Succeeded":
                sync.count("succeeded", 1)
            elif has_failed(pod) or failed_job:
                sync.count("failed", 1)
                self._failed_at[sync.job["metadata"]["uid"]] = time.monotonic()
            elif not sync.deleting:
                continue
            self._untrack(pod)

    def _tell(self, sync: Sync) -> None:
        """Write the status; a Job is over when the last of its pods is."""
        self._reread(sync)
        active = [pod for pod in sync.pods if is_active(pod)]
        terminating = [pod for pod in sync.pods if is_terminating(pod)]
        sync.status.pop("active", None)
        sync.count("active", len(active))
        ready = sum(is_ready(pod) for pod in active)
        sync.status |= {"ready": ready, "terminating": len(terminating), "uncountedTerminatedPods": {}}
        if not terminating and (target := sync.condition("FailureTarget")):
            sync.conclude("Failed", "True", target["reason"], target["message"])
        elif not terminating and (met := sync.condition("SuccessCriteriaMet")):
            sync.conclude("Complete", "True", met["reason"], met["message"])
            sync.status["completionTime"] = now()
        namespace, name = sync.job["metadata"]["namespace"], sync.job["metadata"]["name"]
        if current := self._store.find(JOB, namespace, name):
            self._store.replace(JOB, {**current, "status": sync.status})

    def _reread(self, sync: Sync) -> None:
        found = [self._store.find(POD, *key_of(pod)) for pod in sync.pods]
        sync.pods = [pod for pod in found if pod]

    def _untrack(self, pod: Object) -> Object:
        return without_finalizer(self._store, POD, pod, TRACKING) if tracked(pod) else pod
