"""Forgetting in memory: by choice, by age, and of what nobody needs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from shared.domain.forgetting import Choice, Forgotten, Found, Sight, without_memories
from shared.domain.memory_index import MemoryRow
from tests.contract.stores.fakes import Kept, World

Key = tuple[UUID, str, str, int]


@dataclass
class FakeForgetting:
    world: World

    def find(self, choice: Choice) -> Found:
        chosen = self._chosen(choice)
        tenants = sorted({self.world.tasks[task].run.tenant for task, _ in chosen})
        fresh = {task for task, ref in chosen if not self.world.forgotten(task, "", ref)}
        rows = self._rows(chosen)
        return Found(len({task for task, _ in chosen}), len(fresh), tenants, _kinds(rows), self._seen(rows))

    def forget(self, choice: Choice, by: str, *, purge_prompts: bool) -> Forgotten:
        chosen = self._chosen(choice)
        rows = self._rows(chosen)
        seen = self._seen(rows)
        fresh = {(task, "", ref) for task, ref in chosen if not self.world.forgotten(task, "", ref)}
        self.world.tombstones |= fresh
        contents = _take(self.world, rows)
        vectors = drop(self.world, contents)
        in_prompts = {(one.task_id, one.attempt) for one in seen if one.channel == "prompt"}
        if fresh or rows:
            self.world.forgettings.append((choice, in_prompts))
        prompts = self._purge(choice) if purge_prompts else (0, 0)
        tasks = list(dict.fromkeys(task for task, _, _ in fresh))
        return Forgotten(_kinds(rows), tasks, seen, vectors, list(contents), self.world.models, prompts)

    def prompts(self, tasks: Sequence[UUID]) -> Iterator[str]:
        return (self.world.tasks[task].run.prompt for task in tasks)

    def _chosen(self, choice: Choice) -> list[tuple[UUID, str]]:
        tasks = [kept for kept in self.world.tasks.values() if _fits(kept, choice)]
        if choice.source is None:
            return [(kept.run.id, "") for kept in tasks]
        about = (choice.source,)
        whole = [kept for kept in tasks if (kept.run.repository,) == about or (kept.request.source_ref,) == about]
        has = {key[0] for key in self.world.memories if key[2] == choice.source}
        has |= {kept.run.id for kept in tasks if choice.source in map(str, kept.snapshots)}
        has |= {task for task, _, ref in self.world.tombstones if ref == choice.source}
        return [(kept.run.id, "") for kept in whole] + [
            (kept.run.id, choice.source) for kept in tasks if kept.run.id in has
        ]

    def _rows(self, chosen: Sequence[tuple[UUID, str]]) -> dict[Key, MemoryRow]:
        memories = self.world.memories.items()
        return {key: row for key, row in memories if (key[0], "") in chosen or (key[0], key[2]) in chosen}

    def _seen(self, rows: Mapping[Key, MemoryRow]) -> list[Sight]:
        ids = {row.id for row in rows.values()}
        seen = Counter(
            (task, attempt, channel)
            for task, kept in self.world.tasks.items()
            for attempt, channel, memory in kept.shown
            if memory in ids
        )
        return [
            Sight(task, attempt, channel, datetime.now(UTC), number, _is_over(self.world, task, attempt))
            for (task, attempt, channel), number in seen.items()
        ]

    def _purge(self, choice: Choice) -> tuple[int, int]:
        before = {one for chosen, seen in self.world.forgettings if chosen == choice for one in seen}
        new = {(task, attempt) for task, attempt in before - self.world.purged if _shows(self.world, task, attempt)}
        self.world.purged |= new
        over = sum(_is_over(self.world, *one) for one in new)
        return over, len(new) - over


@dataclass
class FakeRetention:
    world: World

    def forget_old(self, days: Mapping[str, int], limit: int) -> int:
        ages = self.world.ages.items()
        kept = {key: days.get(key[1], days.get("*", 1_000_000)) for key, _ in ages}
        old = [
            key for key, age in sorted(ages, key=lambda one: -one[1]) if key in self.world.memories and age > kept[key]
        ]
        texts = {key[:3] for key in old[:limit]}
        self.world.tombstones |= texts
        rows = {key: row for key, row in self.world.memories.items() if key[:3] in texts}
        drop(self.world, _take(self.world, rows))
        return len(rows)

    def drop_unneeded(self, start: bytes, limit: int) -> int:
        contents = sorted({content for _, content in self.world.vectors}, key=lambda one: (one < start, one))
        return drop(self.world, set(contents[:limit]))

    def purge(self, limit: int) -> int:
        due = [one for one in self.world.purged if _is_over(self.world, *one)][:limit]
        for task, attempt in due:
            briefs = self.world.tasks[task].briefs
            briefs[attempt] = without_memories(briefs[attempt])
        self.world.purged -= set(due)
        return len(due)


def drop(world: World, contents: set[bytes]) -> int:
    """The vectors of those contents that no memory has any more."""
    needed = {row.content_hash for row in world.memories.values()}
    gone = [key for key in world.vectors if key[1] in contents - needed]
    for key in gone:
        del world.vectors[key]
    return len(gone)


def _take(world: World, rows: Mapping[Key, MemoryRow]) -> set[bytes]:
    ids = {row.id for row in rows.values()}
    for key in rows:
        del world.memories[key]
    for kept in world.tasks.values():
        kept.shown = [one for one in kept.shown if one[2] not in ids]
    return {row.content_hash for row in rows.values()}


def _fits(kept: Kept, choice: Choice) -> bool:
    return (
        choice.task in (None, kept.run.id)
        and choice.caller in (None, kept.run.caller)
        and choice.tenant in (None, kept.run.tenant)
    )


def _kinds(rows: Mapping[Key, MemoryRow]) -> dict[str, int]:
    return dict(Counter(key[1] for key in rows))


def _is_over(world: World, task: UUID, attempt: int) -> bool:
    run = world.tasks[task].run
    return run.status.final or run.attempt > attempt


def _shows(world: World, task: UUID, attempt: int) -> bool:
    return "<recalled-memory-" in world.tasks[task].briefs.get(attempt, "")
