"""Search of the memory index in memory: every row is compared."""

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.domain.memory import Memory, Recalled
from shared.domain.memory_index import Filters, MemoryRow, Question
from tests.contract.stores.fakes import World

_SAME = ("task_id", "kind", "source_ref", "repository", "tenant", "namespaces", "resource_kinds", "tags")
_OUTCOMES = {"succeeded": 1.0, "failed": 0.97, "canceled": 0.97, "expired": 0.97, "denied": 0.97}


@dataclass
class FakeMemorySearch:
    world: World

    def nearest_to_task(self, task: UUID, limit: int, least: float = 0.2) -> list[Recalled]:
        asked = self.world.memories.get((task, "prompt", "prompt", 0))
        if asked is None:
            return []
        made = [(model, self.world.vectors.get((model, asked.content_hash))) for model in self.world.models]
        vectors = [(model, vector) for model, vector in made if vector is not None]
        if not vectors:
            return []
        question = Question(vectors[-1][0], asked.content, vectors[-1][1])
        found = self.search(question, Filters(asked.text.tenant, task), limit)
        return [recalled for recalled in found if recalled.parts.get("vector", 0) >= least]

    def search(self, question: Question, filters: Filters, limit: int) -> list[Recalled]:
        rows = [row for row in self.world.memories.values() if self._fits(row, filters)]
        parts: dict[UUID, dict[str, float]] = {row.id: self._weights(row) for row in rows}
        scores = dict.fromkeys(parts, 0.0)
        for name, part in self._sides(question).items():
            ranked = sorted(((part(row), row) for row in rows if part(row) is not None), key=lambda one: -(one[0] or 0))
            for place, (value, row) in enumerate(ranked, 1):
                parts[row.id][name] = value or 0.0
                scores[row.id] += 61 / (60 + place) / len(self._sides(question))
        found = [
            self._recalled(row, scores[row.id] * parts[row.id]["outcome"], parts[row.id])
            for row in rows
            if scores[row.id]
        ]
        return self._different(sorted(found, key=lambda one: -one.score), rows, filters)[:limit]

    def _sides(self, question: Question) -> dict[str, Callable[[MemoryRow], float | None]]:
        """The lists that are asked for; a row without a value is not in them."""
        sides: dict[str, Callable[[MemoryRow], float | None]] = {}
        if question.vector is not None:
            wanted = question.vector
            sides["vector"] = lambda row: _likeness(self.world.vectors.get((question.model, row.content_hash)), wanted)
        words = _words(question.text or "")
        if words:
            sides["lexical"] = lambda row: _share(len(words & _words(row.content)))
        return sides

    def _different(self, found: Sequence[Recalled], rows: Sequence[MemoryRow], filters: Filters) -> list[Recalled]:
        contents = {row.id: row.content_hash for row in rows}
        seen: set[Any] = set()
        different = []
        for one in found:
            same = {contents[one.memory.id]} | ({one.memory.task_id} if filters.per_task else set())
            if not same & seen:
                different.append(one)
                seen |= same
        return different

    def _fits(self, row: MemoryRow, filters: Filters) -> bool:
        text, kept = row.text, self.world.tasks[row.text.task_id]
        return (
            text.tenant == filters.tenant
            and text.task_id != filters.not_task
            and filters.namespace in (None, *text.namespaces)
            and filters.resource_kind in (None, *text.resource_kinds)
            and filters.repository in (None, text.repository)
            and filters.kind in (None, text.kind)
            and set(filters.tags) <= set(text.tags)
            and filters.outcome in (None, kept.run.status.value)
        )

    def _weights(self, row: MemoryRow) -> dict[str, float]:
        """Nothing grows old in here."""
        status = self.world.tasks[row.text.task_id].run.status.value
        return {"outcome": _OUTCOMES.get(status, 0.99), "age": 1.0}

    def _recalled(self, row: MemoryRow, score: float, parts: dict[str, float]) -> Recalled:
        text, kept = row.text, self.world.tasks[row.text.task_id]
        fields: dict[str, Any] = {name: getattr(text, name) for name in (*_SAME, "trust", "attempt")}
        at, outcome = kept.accepted.accepted_at, kept.run.status.value
        return Recalled(Memory(id=row.id, text=row.content, created_at=at, outcome=outcome, **fields), score, parts)


def _share(matches: int) -> float | None:
    return matches / (matches + 1) if matches else None


def _likeness(one: Sequence[float] | None, other: Sequence[float]) -> float | None:
    return None if one is None else _cosine(one, other)


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    product: float = sum(map(operator.mul, one, other))
    return product / (math.hypot(*one) * math.hypot(*other))


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower()))
