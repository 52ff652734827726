"""The memory index in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.domain.errors import Rejected
from shared.domain.memory_index import MemoryRow, Text
from shared.domain.run import RunState
from shared.events.event import Event
from tests.contract.stores.fake_memory_sources import texts_of
from tests.contract.stores.fakes import World


@dataclass
class FakeMemories:
    world: World

    def missing(self, tasks: Sequence[UUID], limit: int) -> list[Text]:
        done = {key[:3] for key in self.world.memories if key[3] == 0}
        done -= {key[:3] for key, row in self.world.memories.items() if self._waits(row)}
        texts = [text for kept in self.world.tasks.values() if kept.run.id in tasks for text in texts_of(kept)]
        names = [(text, (text.task_id, text.kind, text.source_ref)) for text in texts]
        return [text for text, name in names if name not in done and not self.world.forgotten(*name)][:limit]

    def waiting(self, limit: int) -> list[UUID]:
        tasks = [kept.run.id for kept in self.world.tasks.values()]
        return [task for task in tasks if self.missing([task], 1)][:limit]

    def known(self, hashes: Sequence[bytes], model: str) -> set[bytes]:
        return {content_hash for content_hash in hashes if (model, content_hash) in self.world.vectors}

    def vector(self, content_hash: bytes, model: str) -> Sequence[float] | None:
        if (model, content_hash) not in self.world.vectors:
            return None
        made = self.world.vectors[model, content_hash]
        if made is None:
            raise Rejected("the model refuses this text")
        return made

    def store(self, rows: Sequence[MemoryRow], received: Event | None, announcement: Event | None) -> bool:
        if received and not self.world.receive("embedder", received):
            return False
        rows = [row for row in rows if not self.world.forgotten(*_key(row)[:3])]
        models = {*self.world.models, *self.world.filling}
        for row in rows:
            if row.model in models and self.world.vectors.get((row.model, row.content_hash)) is None:
                self.world.vectors[row.model, row.content_hash] = row.vector
            if _key(row) not in self.world.memories:
                self.world.tasks[row.text.task_id].tell("remembered", kind=row.text.kind, model=row.model)
            self.world.memories[_key(row)] = row
        last = {_key(row)[:3]: row.chunk for row in sorted(rows, key=_key)}
        for key in [key for key in self.world.memories if key[3] > last.get(key[:3], key[3])]:
            del self.world.memories[key]
        if announcement:
            prepared = self.world.tasks.get(UUID(announcement.subject or ""))
            if prepared:
                prepared.move(RunState.PREPARED)
            self.world.announce(announcement)
        return True

    def _waits(self, row: MemoryRow) -> bool:
        return not any((model, row.content_hash) in self.world.vectors for model in self.world.models[-1:])

    def prompt(self, task: UUID) -> tuple[str, str, int | None] | None:
        kept = self.world.tasks.get(task)
        return (kept.run.prompt, kept.run.tenant, kept.run.attempt) if kept else None


@dataclass
class FakeMemoryModels:
    world: World

    def in_use(self, configured: str) -> str:
        if not self.world.models:
            self.switch(configured)
        return self.world.models[-1]

    def switch(self, to: str) -> None:
        self.world.filling -= {to}
        self.world.models = [model for model in self.world.models if model != to] + [to]

    def fill(self, model: str) -> None:
        self.world.filling |= {model} - set(self.world.models)


def _key(row: MemoryRow) -> tuple[UUID, str, str, int]:
    return row.text.task_id, row.text.kind, row.text.source_ref, row.chunk
