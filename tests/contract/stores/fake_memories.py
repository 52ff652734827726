"""The memory index in memory."""

import math
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.domain.memory import Memory, Recalled
from shared.domain.memory_index import Filters, MemoryRow, Text
from shared.domain.run import RunState
from shared.events.event import Event
from tests.contract.stores.fakes import Kept, World

_SAME = ("task_id", "kind", "source_ref", "repository", "tenant", "namespaces", "resource_kinds", "tags")


@dataclass
class FakeMemories:
    world: World

    def missing(self, task: UUID | None, model: str, limit: int) -> list[Text]:
        known = {key[:3] for key, row in self.world.memories.items() if row.model == model}
        texts = [text for kept in self.world.tasks.values() if task in (None, kept.run.id) for text in _texts(kept)]
        return [text for text in texts if (text.task_id, text.kind, text.source_ref) not in known][:limit]

    def store(self, rows: Sequence[MemoryRow], received: Event | None, announcement: Event | None) -> bool:
        if received and not self.world.receive("embedder", received):
            return False
        for row in rows:
            key = (row.text.task_id, row.text.kind, row.text.source_ref, row.chunk)
            if row.vector is not None or key not in self.world.memories:
                if key not in self.world.memories:
                    self.world.tasks[row.text.task_id].tell("remembered", kind=row.text.kind, model=row.model)
                self.world.memories[key] = row
        if announcement:
            prepared = self.world.tasks.get(UUID(announcement.subject or ""))
            if prepared:
                prepared.move(RunState.PREPARED)
            self.world.announce(announcement)
        return True

    def nearest_to_task(self, task: UUID, limit: int, least: float = 0.2) -> list[Recalled]:
        asked = self.world.memories.get((task, "prompt", "prompt", 0))
        if asked is None or asked.vector is None:
            return []
        found = self.by_vector(asked.vector, asked.model or "", Filters(asked.text.tenant, task), limit)
        return [recalled for recalled in found if recalled.score >= least]

    def by_vector(self, vector: Sequence[float], model: str, filters: Filters, limit: int) -> list[Recalled]:
        rows = [row for row in self._fitting(filters) if row.model == model]
        return self._best([(row, _cosine(row.vector or (), vector)) for row in rows], limit)

    def by_words(self, text: str, filters: Filters, limit: int) -> list[Recalled]:
        wanted = _words(text)
        scored = [(row, len(wanted & _words(row.content))) for row in self._fitting(filters)]
        return self._best([(row, count / (count + 1)) for row, count in scored if count], limit)

    def expose(self, task: UUID, attempt: int, shown: Sequence[Recalled]) -> None:
        kept = self.world.tasks[task]
        for one in [("query", recalled.memory.id) for recalled in shown]:
            if one not in kept.shown:
                kept.shown.append(one)
                kept.tell("memory shown", channel="query", memoryId=str(one[1]))

    def prompt(self, task: UUID) -> tuple[str, str, int | None] | None:
        kept = self.world.tasks.get(task)
        return (kept.run.prompt, kept.run.tenant, kept.run.attempt) if kept else None

    def _fitting(self, filters: Filters) -> list[MemoryRow]:
        return [row for row in self.world.memories.values() if _fits(row, filters)]

    def _best(self, scored: Sequence[tuple[MemoryRow, float]], limit: int) -> list[Recalled]:
        best: dict[UUID, tuple[MemoryRow, float]] = {}
        for row, score in sorted(scored, key=lambda entry: -entry[1]):
            best.setdefault(row.text.task_id, (row, score))
        return [self._recalled(row, score) for row, score in list(best.values())[:limit]]

    def _recalled(self, row: MemoryRow, score: float) -> Recalled:
        text, kept = row.text, self.world.tasks[row.text.task_id]
        fields: dict[str, Any] = {name: getattr(text, name) for name in _SAME}
        at, outcome = kept.accepted.accepted_at, kept.run.status.value
        return Recalled(Memory(id=row.id, text=row.content, created_at=at, outcome=outcome, **fields), score)


def _texts(kept: Kept) -> list[Text]:
    request = kept.request
    namespaces = sorted({target.namespace for target in request.targets})
    kinds = sorted({target.kind for target in request.targets})
    texts = [("prompt", "prompt", request.prompt)]
    for _, report in kept.reports.values():
        if report.snapshot:
            texts.append((f"snapshot-{report.snapshot.type}", str(report.snapshot.id), report.snapshot.content))
    if kept.run.status.final:
        outcome = f"{kept.run.status.value}: {kept.result or kept.reason}"
        texts.append(("outcome", f"attempt {kept.run.attempt}", outcome))
    about = (request.tenant, request.repository, list(request.tags), namespaces, kinds)
    return [Text(kept.run.id, kind, ref, text, *about) for kind, ref, text in texts if text.strip()]


def _fits(row: MemoryRow, filters: Filters) -> bool:
    text = row.text
    return (
        text.tenant == filters.tenant
        and text.task_id != filters.not_task
        and filters.namespace in (None, *text.namespaces)
        and filters.resource_kind in (None, *text.resource_kinds)
        and filters.repository in (None, text.repository)
        and filters.kind in (None, text.kind)
    )


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    product: float = sum(map(operator.mul, one, other))
    return product / (math.hypot(*one) * math.hypot(*other))


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower()))
