"""What is known of one Job: its pods, what they say, and what becomes of its status."""

import copy
from dataclasses import dataclass, field

from tests.cluster.fake.kinds import Object
from tests.cluster.fake.store import now, seconds_since

TRACKING = "batch.kubernetes.io/job-tracking"
FINAL = ("Succeeded", "Failed")


@dataclass
class Sync:
    """One look at a Job and the pods that it controls."""

    job: Object
    pods: list[Object]
    status: Object = field(init=False)

    def __post_init__(self) -> None:
        self.status = copy.deepcopy(self.job.get("status") or {})

    @property
    def suspended(self) -> bool:
        return bool(self.job["spec"].get("suspend"))

    @property
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.job["metadata"]

    def versions(self) -> list[str]:
        """What all that is looked at looks like; what is the same needs no second look."""
        return [each["metadata"]["resourceVersion"] for each in (self.job, *self.pods)]

    def condition(self, kind: str) -> Object | None:
        found = [each for each in self.status.get("conditions", []) if each["type"] == kind]
        return found[0] if found else None

    def conclude(self, kind: str, status: str, reason: str, message: str) -> None:
        """Set the condition; one that says False appears only where it said True before."""
        earlier = self.condition(kind)
        if (earlier is None and status == "False") or (earlier is not None and earlier["status"] == status):
            return
        told = {"type": kind, "status": status, "lastProbeTime": now(), "lastTransitionTime": now()}
        told |= {"reason": reason, "message": message}
        if earlier is None:
            self.status.setdefault("conditions", []).append(told)
        else:
            earlier.update(told)
        if kind == "Suspended":
            # A deadline counts from here on, once the Job goes on.
            self.status.pop("startTime", None)
            if status == "False":
                self.status["startTime"] = now()

    def count(self, name: str, more: int = 0) -> int:
        total = int(self.status.get(name, 0)) + more
        if total:
            self.status[name] = total
        return total


def finished(job: Object) -> Object | None:
    """The condition that ended the Job."""
    for each in job.get("status", {}).get("conditions", []):
        if each["type"] in ("Complete", "Failed") and each["status"] == "True":
            return dict(each)
    return None


def phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", "Pending"))


def tracked(pod: Object) -> bool:
    return TRACKING in pod["metadata"].get("finalizers", [])


def is_active(pod: Object) -> bool:
    return phase(pod) not in FINAL and "deletionTimestamp" not in pod["metadata"]


def is_terminating(pod: Object) -> bool:
    return phase(pod) not in FINAL and "deletionTimestamp" in pod["metadata"]


def has_failed(pod: Object) -> bool:
    """A deleted pod that never said how it ended has failed too."""
    return phase(pod) == "Failed" or ("deletionTimestamp" in pod["metadata"] and phase(pod) != "Succeeded")


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def past_ttl(job: Object, ended: Object) -> bool:
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    if ttl is None or "deletionTimestamp" in job["metadata"]:
        return False
    return seconds_since(ended["lastTransitionTime"]) >= float(ttl)
