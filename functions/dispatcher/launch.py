"""The use case: a claimed run becomes a job with the memories that fit it. Every step may be repeated."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from functions.dispatcher.prompt import render
from functions.dispatcher.recipe import Recipe
from shared.domain.errors import Rejected
from shared.domain.ids import stable_id
from shared.domain.job import Job
from shared.domain.manifests import Seen, difference, digest, document
from shared.domain.memory import Fenced, Recalled, fence
from shared.domain.offer import Offered, Standing, offer
from shared.domain.policy import Verdict
from shared.domain.report import Snapshot
from shared.domain.task import Mode, Run, Target
from shared.events.catalogue import RunLaunched, announce
from shared.events.event import Event


class Launches(Protocol):
    """Launches in progress; who does not hold the latest epoch of one moves nothing."""

    def brief(
        self, run: Run, prompt: str, offered: Offered | None, before: Snapshot | None, verdict: Verdict
    ) -> str: ...

    def launched(self, run: Run, resource: str, token_hash: bytes, announcement: Event) -> bool: ...

    def delivery(self, run: UUID) -> bytes | None: ...

    def snapshot(self, id_: UUID) -> str | None: ...


class Jobs(Protocol):
    """Jobs by name and namespace. Creating one that exists is success if it is this task's attempt, else Rejected.

    Nothing of a job runs before it is released; what `create` returned tells it from another of its name.
    """

    def create(self, job: Job) -> str: ...

    def release(self, name: str, namespace: str, made: str) -> None: ...


class Memories(Protocol):
    """Finds what earlier tasks left that is nearest to a task."""

    def nearest_to_task(self, task: UUID, limit: int) -> Sequence[Recalled]: ...


class Trials(Protocol):
    """What is known before a task is offered memories."""

    def known(self, task: UUID, memories: Sequence[UUID]) -> Standing: ...


class Targets(Protocol):
    """Reads the objects that a task says it will touch."""

    def look(self, targets: Sequence[Target]) -> Sequence[Seen]: ...


class Snapshots:
    """What the targets of a run are before and after it, redacted under a key of its own."""

    def __init__(self, targets: Targets | None, launches: Launches, key: bytes) -> None:
        self._targets = targets
        self._launches = launches
        self._key = key

    def before(self, run: Run) -> Snapshot | None:
        """None where there is nothing to look at."""
        return self._taken(run, "before")

    def after(self, run: Run) -> tuple[Snapshot | None, str]:
        """The snapshot, and what differs from the one before. None without that: only the policy lets us look."""
        before = self._launches.snapshot(_snapshot_id(run, "before")) if run.targets else None
        snapshot = self._taken(run, "after") if before is not None else None
        return snapshot, difference(before or "", snapshot.content) if snapshot else ""

    def _taken(self, run: Run, type_: str) -> Snapshot | None:
        if self._targets is None or not run.targets:
            return None
        content = document(self._targets.look(run.targets), self._key)
        return Snapshot(_snapshot_id(run, type_), type_, content, digest(content))


class Launch:
    """Makes the job, notes that it may run, and only then lets it run.

    Who comes too late to note it has made a job that never runs.
    """

    def __init__(
        self,
        launches: Launches,
        doors: Mapping[Mode, Jobs],
        memories: Memories,
        trials: Trials,
        snapshots: Snapshots,
        say: Callable[[Event], None],
        now: Callable[[], datetime],
        nonce: Callable[[], str],
        read_delivery: Callable[[bytes], Mapping[str, Any]],
        recipe: Recipe,
    ) -> None:
        self._launches = launches
        self._doors = doors
        self._memories = memories
        self._trials = trials
        self._snapshots = snapshots
        self._say = say
        self._now = now
        self._nonce = nonce
        self._read_delivery = read_delivery
        self._recipe = recipe

    def __call__(self, run: Run, verdict: Verdict) -> bool:
        """Whether the run's job runs now; False if the launch is another's by now, or to be canceled."""
        jobs = self._doors.get(Mode(run.mode))
        if jobs is None:
            raise Rejected(f"mode {run.mode} is not enabled here: use {' or '.join(sorted(self._doors))}")
        job = self._job(run, verdict)
        made = jobs.create(job)
        event = announce(RunLaunched(run.id, run.attempt, job.name), "dispatcher", run.traceparent)
        token_hash = hashlib.sha256(self._recipe.token_of(run).encode()).digest()
        if not self._launches.launched(run, job.name, token_hash, event):
            return False
        jobs.release(job.name, job.namespace, made)
        self._say(event)
        return True

    def _job(self, run: Run, verdict: Verdict) -> Job:
        memories, offered = self._recalled(run)
        before = self._snapshots.before(run)
        prompt = self._launches.brief(run, render(run, memories), offered, before, verdict)
        delivery = self._launches.delivery(run.id) if run.mode == Mode.ARGO else None
        return self._recipe.job(run, prompt, self._read_delivery(delivery) if delivery else None, self._now())

    def _recalled(self, run: Run) -> tuple[Fenced, Offered | None]:
        """The memories of the prompt file, and the offer that they are of; None if there are none to offer."""
        recipe = self._recipe
        # Some are withheld: as many again are looked at.
        found = self._memories.nearest_to_task(run.id, 2 * recipe.memories) if recipe.memory_tokens else []
        if not found:
            return Fenced("", ()), None
        ids = [one.memory.id for one in found]
        decided = offer(run.id, ids, recipe.memories, recipe.holdout_share, self._trials.known(run.id, ids))
        chosen = [one for one in found if one.memory.id in decided.shown]
        fenced = fence(chosen, self._nonce(), recipe.memory_tokens)
        return fenced, Offered(decided, found, fenced.shown)


def _snapshot_id(run: Run, type_: str) -> UUID:
    return stable_id("target snapshot", str(run.id), str(run.attempt), type_)
