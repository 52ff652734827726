"""Cards in memory, and what there is to show of the tasks in memory."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

from shared.domain.card import Card, Opened, TaskFacts
from shared.domain.discord import Posted
from shared.postgres.discord_cards import OLD_SINCE, Pace
from tests.contract.stores.fakes import Kept, World

_CHANGED = re.compile(r"([0-9]+ files? changed[^\n]*)\s*\Z")


@dataclass
class Held:
    """A card, and when it may be touched again. Times are those of the clock."""

    card: Card
    channel_id: str
    due: float
    looked: float | None = None
    tries: int = 0
    ended: str | None = None


@dataclass
class FakeCards:
    world: World
    pace: Pace = field(default_factory=Pace)
    clock: Callable[[], float] = time.time
    held: dict[UUID, Held] = field(default_factory=dict)

    def open(self, task_id: UUID, opened: Opened) -> None:
        card = Card(task_id, None, opened.guild_id, opened.ephemeral, opened.until, "", None, 0)
        self.held.setdefault(task_id, Held(card, opened.channel_id, self.clock()))

    def news(self, task_id: UUID) -> bool:
        if task_id in self.held:
            self.held[task_id].looked = None
        return task_id in self.held

    def any_open(self) -> bool:
        return any(held.ended is None for held in self.held.values())

    def claim(self, task_id: UUID | None = None) -> Card | None:
        now = self.clock()
        due = [
            held
            for held in self.held.values()
            if held.ended is None and held.due <= now and (self._news(held) if task_id is None else True)
            if task_id in (None, held.card.task_id)
        ]
        if not due:
            return None
        first = min(due, key=lambda held: held.due)
        first.looked, first.due = now, now + self.pace.lease
        return first.card

    def _news(self, held: Held) -> bool:
        if held.looked is None or held.looked <= self.clock() - self.pace.idle:
            return True
        kept = self.world.tasks.get(held.card.task_id)
        return kept is not None and kept.story[-1].at.timestamp() >= held.looked - self.pace.slack

    def edited(self, task_id: UUID, shown: str, at: Posted | None) -> None:
        held = self.held[task_id]
        held.card = replace(held.card, shown=shown, at=at or held.card.at)
        old = held.card.token_until.timestamp() < self.clock() - OLD_SINCE
        held.due, held.tries = self.clock() + (self.pace.old if old else self.pace.pause), 0

    def looked(self, task_id: UUID) -> None:
        held = self.held[task_id]
        held.due, held.tries = self.clock() + self.pace.pause, 0

    def put_off(self, task_id: UUID, seconds: float) -> None:
        held = self.held[task_id]
        held.due, held.looked = self.clock() + seconds, None

    def failed(self, task_id: UUID, at_least: float) -> None:
        held = self.held[task_id]
        wait = max(at_least, min(self.pace.longest, self.pace.pause * 2.0 ** min(held.tries, 20)))
        held.due, held.looked, held.tries = self.clock() + wait, None, held.tries + 1

    def told(self, task_id: UUID, thread_id: str, told: int) -> None:
        held = self.held[task_id]
        held.card = replace(held.card, thread_id=thread_id, told=max(held.card.told, told))
        held.due, held.looked, held.tries = self.clock() + self.pace.pause, None, 0

    def end(self, task_id: UUID, why: str) -> None:
        held = self.held[task_id]
        held.ended = held.ended or why


@dataclass
class FakeFacts:
    world: World

    def of(self, task_id: UUID) -> TaskFacts | None:
        kept = self.world.tasks.get(task_id)
        return _facts(kept) if kept else None


def _facts(kept: Kept) -> TaskFacts:
    run, told = kept.run, {entry.what: entry.at for entry in kept.story}
    ours = sorted((r for attempt, r in kept.reports.values() if attempt == run.attempt), key=lambda r: r.sequence)
    taken = [r.snapshot.content for r in ours if r.snapshot and r.snapshot.type == "after"]
    stats = [found[1] for found in map(_CHANGED.search, taken) if found]
    diffs = [e.detail["diff"] for e in kept.story if e.what == "snapshot after" and e.detail["attempt"] == run.attempt]
    return TaskFacts(
        run.status,
        kept.reason,
        kept.result,
        run.stage,
        run.repository,
        run.base,
        run.head,
        run.prompt[:1000],
        run.attempt,
        dict(kept.usage),
        kept.accepted.accepted_at,
        told.get("launched"),
        told[run.status.value] if run.status.final else None,
        kept.canceled_by is not None,
        kept.settled,
        next((r.content for r in reversed(ours) if r.event_type in ("progress", "log")), None),
        stats[-1] if stats else "",
        sum(len(diff.rstrip("\n").split("\n")) for diff in diffs if diff.rstrip("\n")),
        tuple(kept.uploads[upload].upload.name for upload in kept.artifacts),
    )
