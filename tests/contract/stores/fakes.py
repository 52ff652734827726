"""The stores in memory: what the doors to Postgres promise, in as few lines as that takes."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from shared.domain.artifact import Upload
from shared.domain.cursors import EntryId
from shared.domain.effect import Toss
from shared.domain.errors import Conflict, NotFound, Unavailable
from shared.domain.forgetting import Choice
from shared.domain.ids import run_id, stable_id
from shared.domain.memory_index import MemoryRow
from shared.domain.offer import Arm
from shared.domain.outcome import Judgement, Outcome
from shared.domain.report import End, Recorded, Report, Snapshot
from shared.domain.run import RunState, predecessors
from shared.domain.task import Accepted, Run, TaskRequest
from shared.domain.timeline import Entry
from shared.events.event import Event

EventKey = tuple[str, str, str]


@dataclass
class Promise:
    """An upload; nothing more can come of it when `open_since` is None."""

    attempt: int
    upload: Upload
    open_since: float | None


@dataclass
class Kept:
    """One task with everything that belongs to it."""

    request: TaskRequest
    accepted: Accepted
    run: Run
    reason: str = ""
    result: str = ""
    resource: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    moved_at: float = field(default_factory=time.monotonic)
    launched_at: float | None = None
    reports: dict[str, tuple[int, Report]] = field(default_factory=dict)
    uploads: dict[UUID, Promise] = field(default_factory=dict)
    artifacts: dict[UUID, str] = field(default_factory=dict)
    shown: list[tuple[int, str, UUID]] = field(default_factory=list)
    canceled_by: str | None = None
    story: list[Entry] = field(default_factory=list)
    lease_until: float = 0.0
    claimed_at: float | None = None
    not_before: float = 0.0
    briefs: dict[int, str] = field(default_factory=dict)
    snapshots: dict[UUID, Snapshot] = field(default_factory=dict)
    # Of each of these its attempt, and what differs from the one before.
    taken: dict[UUID, tuple[int, str]] = field(default_factory=dict)
    ended_at: float | None = None
    verdict: Judgement | None = None
    settled: bool = False

    def move(self, state: RunState, **changes: Any) -> bool:
        if self.run.status not in predecessors(state):
            return False
        self.run = replace(self.run, status=state, **changes)
        self.moved_at = time.monotonic()
        return True

    def tell(self, what: str, **detail: Any) -> None:
        self.story.append(Entry(EntryId(len(self.story)), datetime.now(UTC), what, detail))

    def end(self, state: RunState, reason: str, result: str) -> bool:
        moved = self.move(state)
        if moved:
            self.reason, self.result, self.ended_at = reason, result, time.monotonic()
            self.tell(state.value, reason=reason, result=result)
        return moved


@dataclass
class Trial:
    """A task for which there were memories, with its tosses, and those of them that were made before it was judged."""

    scope: tuple[str, str]
    round: int
    topic: str
    arm: Arm
    share: float
    base: float
    began: float = field(default_factory=time.monotonic)
    tosses: dict[UUID, Toss] = field(default_factory=dict)
    # What was tossed for before the task ended.
    in_time: set[UUID] = field(default_factory=set)
    outcome: Outcome | None = None


@dataclass
class World:
    """What one database holds."""

    tasks: dict[UUID, Kept] = field(default_factory=dict)
    outbox: dict[str, tuple[float, Event]] = field(default_factory=dict)
    inbox: set[EventKey] = field(default_factory=set)
    merged: dict[str, tuple[UUID, bytes]] = field(default_factory=dict)
    memories: dict[tuple[UUID, str, str, int], MemoryRow] = field(default_factory=dict)
    # Of model and content; None where the model refuses it.
    vectors: dict[tuple[str, bytes], Sequence[float] | None] = field(default_factory=dict)
    # Made ready to follow the one in use.
    filling: set[str] = field(default_factory=set)
    # Those that were ever in use, the one that is last.
    models: list[str] = field(default_factory=list)
    trials: dict[UUID, Trial] = field(default_factory=dict)
    # Task, kind and source of what was forgotten; '' is any.
    tombstones: set[tuple[UUID, str, str]] = field(default_factory=set)
    # Of attempts whose prompt files are to be purged.
    purged: set[tuple[UUID, int]] = field(default_factory=set)
    # What was chosen to be forgotten, and who had seen it in a prompt.
    forgettings: list[tuple[Choice, set[tuple[UUID, int]]]] = field(default_factory=list)
    # Days, of the memories that are not of today.
    ages: dict[tuple[UUID, str, str, int], int] = field(default_factory=dict)
    # Of a scope how often it was switched on again, since when it is off, and why.
    switches: dict[tuple[str, str], tuple[int, datetime | None, str]] = field(default_factory=dict)

    def announce(self, event: Event | None) -> None:
        if event:
            self.outbox.setdefault(event.id, (time.monotonic(), event))

    def forgotten(self, task: UUID, kind: str, ref: str) -> bool:
        wide = {(task, kind, ref), (task, kind, ""), (task, "", ref), (task, "", "")}
        return not self.tombstones.isdisjoint(wide)

    def receive(self, consumer: str, event: Event) -> bool:
        key = (consumer, event.source, event.id)
        fresh = key not in self.inbox
        self.inbox.add(key)
        return fresh

    def of_attempt(self, task: UUID, attempt: int) -> Kept:
        kept = self.tasks.get(task)
        if kept is None:
            raise NotFound("there is no such task")
        if kept.run.attempt != attempt:
            raise Conflict("another attempt of this task has taken over")
        return kept


@dataclass
class FakeTasks:
    world: World

    def accept(self, request: TaskRequest, announcement: Event, traceparent: str | None) -> Accepted:
        run = run_id(request.delivery_id)
        if run in self.world.tasks:
            return replace(self.world.tasks[run].accepted, duplicate=True)
        if into := self.world.merged.get(request.delivery_id):
            return replace(self.world.tasks[into[0]].accepted, body_hash=into[1], duplicate=True, coalesced=True)
        if open_task := self._open_sibling(request):
            self.world.merged[request.delivery_id] = open_task, request.body_hash
            accepted = self.world.tasks[open_task].accepted
            return replace(accepted, body_hash=request.body_hash, coalesced=True)
        idea = stable_id("idea", request.source_type, request.source_ref)
        task = stable_id("task", str(idea), request.stage)
        now = datetime.now(UTC)
        accepted = Accepted(
            run,
            task,
            idea,
            request.stage,
            "accepted",
            now,
            request.body_hash,
            request.orchestration,
            request.answer,
            duplicate=False,
        )
        shared = {name: getattr(request, name) for name in Run.__slots__ if hasattr(request, name)}
        first = Run(id=run, attempt=0, status=RunState.ACCEPTED, traceparent=traceparent, **shared)
        kept = self.world.tasks[run] = Kept(request, accepted, first)
        kept.tell("accepted", caller=request.caller, stage=str(request.stage), mode=str(request.mode))
        self.world.announce(announcement)
        return accepted

    def _open_sibling(self, request: TaskRequest) -> UUID | None:
        def same(kept: Kept) -> bool:
            ours, theirs = request, kept.request
            return (
                (theirs.source_type, theirs.source_ref, theirs.stage) == (ours.source_type, ours.source_ref, ours.stage)
                and (theirs.caller, theirs.tenant) == (ours.caller, ours.tenant)
                and not kept.run.status.final
                and datetime.now(UTC) - kept.accepted.accepted_at < timedelta(seconds=ours.coalesce_seconds)
            )

        return next((task for task, kept in reversed(self.world.tasks.items()) if same(kept)), None)


@dataclass
class FakeReports:
    world: World

    def record(
        self, task: UUID, attempt: int, reports: Sequence[Report], end: End | None, announcement: Event | None
    ) -> Recorded:
        kept = self.world.of_attempt(task, attempt)
        fresh = [report for report in reports if report.event_id not in kept.reports]
        if fresh and kept.run.status.final:
            raise Conflict("the run has ended: nothing more is recorded")
        for report in fresh:
            kept.reports[report.event_id] = (attempt, report)
            for name, amount in (report.usage or {}).items():
                kept.usage[name] = kept.usage.get(name, 0) + amount
            kept.tell(report.event_type, attempt=attempt, sequence=report.sequence, content=report.content)
        if fresh and end:
            kept.end(end.state, end.reason, end.result)
        if fresh:
            self.world.announce(announcement)
        gaps = _gaps({report.sequence for by, report in kept.reports.values() if by == attempt})
        return Recorded(len(fresh), len(reports) - len(fresh), gaps, kept.run.status)

    def canceled_by(self, task: UUID) -> str | None:
        kept = self.world.tasks.get(task)
        return kept.canceled_by if kept else None


def _gaps(sequences: Collection[int]) -> tuple[tuple[int, int], ...]:
    known = sorted({0, *sequences})
    return tuple((before + 1, after - 1) for before, after in pairwise(known) if after > before + 1)


@dataclass
class FakeOutbox:
    world: World

    def remove(self, ids: Sequence[str]) -> None:
        for event_id in ids:
            self.world.outbox.pop(event_id, None)

    def relay(self, publish: Callable[[Event], None], limit: int = 100, older_than: float = 3.0) -> int:
        due = [event for at, event in self.world.outbox.values() if at < time.monotonic() - older_than][:limit]
        sent = 0
        try:
            for event in due:
                publish(event)
                del self.world.outbox[event.id]
                sent += 1
        except Unavailable:
            pass
        return sent
