"""Runs, their queue and their launches in memory: what the doors to Postgres promise."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from shared.domain.offer import Offered
from shared.domain.policy import Verdict
from shared.domain.report import Snapshot
from shared.domain.run import RETRIED_FROM, RunState
from shared.domain.task import Cancellation, Caps, EndedRun, OpenRun, Run
from shared.events.event import Event
from tests.contract.stores.fake_trials import note
from tests.contract.stores.fakes import Kept, World

ACTIVE = RETRIED_FROM


@dataclass
class FakeQueue:
    world: World
    caps: Caps = field(default_factory=Caps)
    namespace: str = ""
    lease_seconds: float = 30.0

    def enter(self, run: UUID) -> tuple[Run | None, Run | None]:
        return self._enqueue(run), self.admit()

    def _enqueue(self, run: UUID) -> Run | None:
        kept = self.world.tasks.get(run)
        if kept is None or kept.canceled_by:
            return None
        namespace = kept.run.orchestration.get("namespace", "") if kept.run.mode == "argo" else self.namespace
        kept.move(RunState.QUEUED, namespace=namespace)
        return kept.run if kept.run.status is RunState.QUEUED else None

    def admit(self) -> Run | None:
        for kept in sorted(self._waiting(), key=_turn):
            if kept.canceled_by or kept.not_before > time.monotonic() or self._obstacle(kept):
                continue
            kept.move(RunState.LAUNCHING, attempt=max(kept.run.attempt, 1), epoch=kept.run.epoch + 1)
            kept.lease_until, kept.claimed_at, kept.reason = time.monotonic() + self.lease_seconds, time.monotonic(), ""
            return kept.run
        return None

    def explain(self, run: UUID | None = None) -> None:
        for kept in self._waiting():
            if run in (None, kept.run.id) and kept.not_before <= time.monotonic():
                kept.reason = self._obstacle(kept) or "waits for its turn"

    def _waiting(self) -> list[Kept]:
        return [kept for kept in self.world.tasks.values() if kept.run.status is RunState.QUEUED]

    def _obstacle(self, kept: Kept) -> str:
        active = [other.run for other in self.world.tasks.values() if other.run.status in ACTIVE]
        run, caps = kept.run, self.caps
        for used, cap, what in (
            (sum(_branch(one) == _branch(run) != "" for one in active), caps.per_branch, f" of branch {_branch(run)}"),
            (sum(one.caller == run.caller for one in active), caps.per_caller, f" of caller {run.caller}"),
            (
                sum(one.namespace == run.namespace != "" for one in active),
                caps.per_namespace,
                f" in namespace {run.namespace}",
            ),
            (len(active), caps.total, ""),
        ):
            if cap and used >= cap:
                return f"waits: {used} of {cap} runs{what} are active"
        return ""


def _turn(kept: Kept) -> float:
    return kept.accepted.accepted_at.timestamp() - 60 * kept.request.priority


def _branch(run: Run) -> str:
    return f"{run.repository}@{run.head}" if run.repository and run.head else ""


@dataclass
class FakeLaunches:
    world: World
    lease_seconds: float = 30.0

    def resume(self, run: UUID) -> Run | None:
        kept = self.world.tasks.get(run)
        if kept is None or kept.canceled_by or kept.run.status is not RunState.LAUNCHING:
            return None
        if kept.lease_until > time.monotonic():
            return None
        kept.run = replace(kept.run, epoch=kept.run.epoch + 1)
        kept.lease_until = time.monotonic() + self.lease_seconds
        return kept.run

    def put_off(self, run: Run, reason: str) -> None:
        kept = self._held(run)
        if kept and kept.run.status is RunState.LAUNCHING:
            kept.lease_until, kept.reason = time.monotonic(), reason

    def brief(self, run: Run, prompt: str, offered: Offered | None, before: Snapshot | None, verdict: Verdict) -> str:
        kept = self.world.tasks[run.id]
        if run.attempt not in kept.briefs:
            kept.briefs[run.attempt] = prompt
            if offered:
                note(self.world, run.id, run.attempt, "prompt", offered)
            _keep(kept, before, "", run.attempt)
        return kept.briefs[run.attempt]

    def launched(self, run: Run, resource: str, token_hash: bytes, announcement: Event) -> bool:
        kept = self._held(run)
        if kept is None or kept.canceled_by or kept.run.status not in ACTIVE:
            return False
        if kept.move(RunState.RUNNING):
            kept.resource, kept.launched_at, kept.reason = resource, time.monotonic(), ""
            kept.tell("launched", attempt=run.attempt, resource=resource)
        self.world.announce(announcement)
        return True

    def retry(self, run: Run, reason: str, wait_seconds: float) -> bool:
        kept = self.world.tasks[run.id]
        if kept.canceled_by or kept.run.attempt != run.attempt or kept.run.status not in RETRIED_FROM:
            return False
        kept.run = replace(kept.run, status=RunState.QUEUED, attempt=run.attempt + 1)
        kept.reason, kept.not_before = reason, time.monotonic() + wait_seconds
        kept.resource, kept.launched_at, kept.claimed_at = None, None, None
        kept.tell("attempt ended", ended=run.attempt, reason=reason)
        return True

    def note(self, run: Run, reason: str) -> None:
        kept = self.world.tasks[run.id]
        if kept.run.attempt == run.attempt and kept.run.status is RunState.RUNNING:
            kept.reason = reason

    def delivery(self, run: UUID) -> bytes | None:
        return self.world.tasks[run].request.delivery

    def snapshot(self, id_: UUID) -> str | None:
        found = [kept.snapshots[id_].content for kept in self.world.tasks.values() if id_ in kept.snapshots]
        return next(iter(found), None)

    def _held(self, run: Run) -> Kept | None:
        kept = self.world.tasks.get(run.id)
        return kept if kept and (kept.run.attempt, kept.run.epoch) == (run.attempt, run.epoch) else None


@dataclass
class FakeRuns:
    world: World

    def finish(
        self, run: Run, state: RunState, reason: str, announcement: Event, verdict: Verdict | None = None
    ) -> bool:
        kept = self.world.tasks[run.id]
        if kept.run.attempt != run.attempt or not kept.end(state, reason, ""):
            return False
        self.world.announce(announcement)
        return True

    def cancel(self, run: UUID, tenant: str, by: str, requested: Event, ended: Event) -> Cancellation | None:
        kept = self.world.tasks.get(run)
        if kept is None or kept.run.tenant != tenant:
            return None
        if kept.run.status.final or kept.canceled_by:
            return Cancellation(kept.run.status, bool(kept.canceled_by), fresh=False)
        waits = kept.run.status in (RunState.ACCEPTED, RunState.PREPARED, RunState.QUEUED)
        kept.canceled_by = by
        kept.tell("cancel requested", caller=by)
        if waits:
            kept.end(RunState.CANCELED, f"canceled by {by}", "")
        self.world.announce(ended if waits else requested)
        return Cancellation(kept.run.status, True, fresh=True)

    def open(self, stuck_seconds: float = 60, limit: int = 5000) -> list[OpenRun]:
        found = [_open(kept, stuck_seconds) for kept in self.world.tasks.values() if _is_open(kept)]
        return [one for one in found if one.launch_due or one.canceled_by or one.run.status in ACTIVE][:limit]

    def open_by_resource(self, resource: str) -> OpenRun | None:
        return next((one for one in self.open() if self.world.tasks[one.run.id].resource == resource), None)

    def open_by_id(self, run: UUID) -> OpenRun | None:
        kept = self.world.tasks.get(run)
        return _open(kept, 60) if kept and _is_open(kept) else None

    def unsettled(self, resource: str | None = None, limit: int = 1000) -> list[EndedRun]:
        over = [kept for kept in self.world.tasks.values() if kept.run.status.final and not kept.settled]
        return [
            EndedRun(kept.run, kept.claimed_at is not None, time.monotonic() - (kept.ended_at or 0))
            for kept in over
            if resource in (None, kept.resource)
        ][:limit]

    def settle(self, run: Run, after: Snapshot | None, diff: str) -> None:
        kept = self.world.tasks[run.id]
        _keep(kept, after, diff, run.attempt)
        kept.settled = True

    def where_they_stand(self, runs: Sequence[UUID]) -> dict[UUID, tuple[int, RunState]]:
        found = [self.world.tasks[run].run for run in runs if run in self.world.tasks]
        return {run.id: (run.attempt, run.status) for run in found}


def _keep(kept: Kept, snapshot: Snapshot | None, diff: str, attempt: int) -> None:
    if snapshot and snapshot.id not in kept.snapshots:
        kept.snapshots[snapshot.id] = snapshot
        kept.taken[snapshot.id] = attempt, diff
        kept.tell(f"snapshot {snapshot.type}", attempt=attempt, digest=snapshot.digest, diff=diff[:4000])


def _is_open(kept: Kept) -> bool:
    return not kept.run.status.final and kept.run.status is not RunState.QUEUED


def _open(kept: Kept, stuck_seconds: float) -> OpenRun:
    now, status = time.monotonic(), kept.run.status
    stuck = status in (RunState.ACCEPTED, RunState.PREPARED) and kept.moved_at < now - stuck_seconds
    due = stuck or (status is RunState.LAUNCHING and kept.lease_until <= now)
    late = kept.launched_at is not None and kept.launched_at + kept.run.deadline_seconds + 30 < now
    waited = now - (kept.launched_at or kept.claimed_at or now)
    return OpenRun(kept.run, due, late and status is RunState.RUNNING, kept.canceled_by, waited)
