"""The memory index in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from shared.domain.memory import Recalled
from shared.domain.memory_index import MemoryRow, Text
from shared.domain.run import RunState
from shared.events.event import Event
from tests.contract.stores.fakes import Kept, World


@dataclass
class FakeMemories:
    world: World

    def missing(self, tasks: Sequence[UUID], model: str, limit: int) -> list[Text]:
        done = {
            key[:3] for key, row in self.world.memories.items() if key[3] == 0 and model in (row.model, row.refused_by)
        }
        done -= {key[:3] for key, row in self.world.memories.items() if row.vector is None and row.refused_by != model}
        texts = [text for kept in self.world.tasks.values() if kept.run.id in tasks for text in _texts(kept)]
        return [text for text in texts if (text.task_id, text.kind, text.source_ref) not in done][:limit]

    def waiting(self, model: str, limit: int) -> list[UUID]:
        tasks = [kept.run.id for kept in self.world.tasks.values()]
        return [task for task in tasks if self.missing([task], model, 1)][:limit]

    def known(self, hashes: Sequence[bytes], model: str) -> set[bytes]:
        return {row.content_hash for row in self.world.memories.values() if row.model == model} & set(hashes)

    def store(self, rows: Sequence[MemoryRow], received: Event | None, announcement: Event | None) -> bool:
        if received and not self.world.receive("embedder", received):
            return False
        for row in map(self._with_vector, rows):
            key = (row.text.task_id, row.text.kind, row.text.source_ref, row.chunk)
            if row.vector is not None or row.refused_by or key not in self.world.memories:
                if key not in self.world.memories:
                    self.world.tasks[row.text.task_id].tell("remembered", kind=row.text.kind, model=row.model)
                self.world.memories[key] = row
        if announcement:
            prepared = self.world.tasks.get(UUID(announcement.subject or ""))
            if prepared:
                prepared.move(RunState.PREPARED)
            self.world.announce(announcement)
        return True

    def _with_vector(self, row: MemoryRow) -> MemoryRow:
        """The row, with the vector of an equal text if it has none of its own."""
        if row.vector is not None or row.model is None:
            return row
        equal = (known for known in self.world.memories.values() if known.content_hash == row.content_hash)
        twin = next((known for known in equal if known.model == row.model), None)
        return replace(row, vector=twin.vector if twin else None, model=row.model if twin else None)

    def expose(self, task: UUID, attempt: int, shown: Sequence[Recalled]) -> None:
        kept = self.world.tasks[task]
        for one in [("query", recalled.memory.id) for recalled in shown]:
            if one not in kept.shown:
                kept.shown.append(one)
                kept.tell("memory shown", channel="query", memoryId=str(one[1]))

    def prompt(self, task: UUID) -> tuple[str, str, int | None] | None:
        kept = self.world.tasks.get(task)
        return (kept.run.prompt, kept.run.tenant, kept.run.attempt) if kept else None


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
