"""The use case: every text of a task that has no vector gets one, and the task moves on either way."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from shared.domain.errors import FacteurError, Rejected
from shared.domain.ids import stable_id
from shared.domain.memory import chunk
from shared.domain.memory_index import MemoryRow, Text
from shared.domain.redaction import redact
from shared.events.catalogue import TaskPrepared, announce
from shared.events.event import Event

# A launch waits for task.prepared, a tick is waited for by nobody.
LAUNCH_PATIENCE_SECONDS = 3.0
TICK_PATIENCE_SECONDS = 30.0
# Texts of a round, and rounds of a tick.
AT_ONCE = 256
ROUNDS = 8
MOST_WAITING = 10_000

Outcome = Sequence[float] | FacteurError


class Embedder(Protocol):
    """Makes unit vectors of texts; says of each why it has none: Rejected for ever, anything else for now."""

    @property
    def model(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str], patience: float) -> Sequence[Outcome]: ...

    def pause(self) -> float:
        """The seconds for which it shall not be asked."""


class Memories(Protocol):
    """The memory index: what has no vector of `model` yet, and where rows are kept."""

    def missing(self, tasks: Sequence[UUID], model: str, limit: int) -> Sequence[Text]: ...

    def waiting(self, model: str, limit: int) -> Sequence[UUID]: ...

    def known(self, hashes: Sequence[bytes], model: str) -> set[bytes]: ...

    def store(self, rows: Sequence[MemoryRow], received: Event | None, announcement: Event | None) -> bool: ...


class Later(Protocol):
    """Tasks that wait for vectors, each until it is due. May forget them."""

    def due(self, limit: int) -> Sequence[UUID]: ...

    def add(self, tasks: Sequence[UUID]) -> None: ...

    def put_off(self, tasks: Sequence[UUID]) -> None: ...

    def done(self, tasks: Sequence[UUID]) -> None: ...


class Embed:
    """Embeds what is missing, of one task or of any."""

    def __init__(self, memories: Memories, embedder: Embedder, later: Later, say: Callable[[Event], None]) -> None:
        self._memories = memories
        self._embedder = embedder
        self._later = later
        self._say = say
        self._model = f"{embedder.model}:{embedder.dimension}"

    def accepted(self, task: UUID, received: Event, traceparent: str | None) -> None:
        """Embeds the prompt of a new task, and says that it is prepared, with or without a vector."""
        event = announce(TaskPrepared(task), "embedder", traceparent)
        if self._embed(task, received, event):
            self._say(event)

    def reported(self, task: UUID, received: Event) -> None:
        """Embeds what a run has left since."""
        self._embed(task, received, None)

    def catch_up(self) -> None:
        """Embeds what could not be embedded when it was new, as far as it is due."""
        for _ in range(ROUNDS):
            tasks = self._embedder.pause() == 0 and self._due()
            if not tasks:
                return
            texts = self._memories.missing(tasks, self._model, AT_ONCE)
            rows, waiting = self._rows(texts, TICK_PATIENCE_SECONDS)
            if rows:
                self._memories.store(rows, None, None)
            # Where there are more texts than a round takes, some tasks have not had their turn.
            tried = {text.task_id for text in texts} if len(texts) == AT_ONCE else set(tasks)
            self._later.put_off([task for task in tasks if task in waiting])
            self._later.done([task for task in tasks if task in tried - waiting])

    def _due(self) -> Sequence[UUID]:
        tasks = self._later.due(AT_ONCE)
        if not tasks:
            self._later.add(self._memories.waiting(self._model, MOST_WAITING))
            tasks = self._later.due(AT_ONCE)
        return tasks

    def _embed(self, task: UUID, received: Event, announcement: Event | None) -> bool:
        texts = self._memories.missing([task], self._model, AT_ONCE)
        rows, waiting = self._rows(texts, LAUNCH_PATIENCE_SECONDS)
        first = self._memories.store(rows, received, announcement)
        if waiting or len(texts) == AT_ONCE:
            self._later.add([task])
        return first

    def _rows(self, texts: Sequence[Text], patience: float) -> tuple[list[MemoryRow], set[UUID]]:
        """The rows of texts, and the tasks that wait for a vector still."""
        pieces = list(_pieces(texts))
        known = self._memories.known([_hash(piece) for _, _, piece in pieces], self._model) if pieces else set()
        new = list(dict.fromkeys(piece for _, _, piece in pieces if _hash(piece) not in known))
        outcomes = dict(zip(new, self._embedder.embed(new, patience), strict=True)) if new else {}
        rows = [self._row(*piece, outcomes) for piece in pieces]
        waiting = {row.text.task_id for row in rows if row.model is None and row.refused_by is None}
        return rows, waiting

    def _row(self, text: Text, number: int, piece: str, outcomes: Mapping[str, Outcome]) -> MemoryRow:
        outcome = outcomes.get(piece)
        failed = isinstance(outcome, FacteurError)
        return MemoryRow(
            id=stable_id("memory", str(text.task_id), text.kind, text.source_ref, str(number)),
            text=text,
            chunk=number,
            content=piece,
            content_hash=_hash(piece),
            vector=None if isinstance(outcome, FacteurError) else outcome,
            model=None if failed else self._model,
            refused_by=self._model if isinstance(outcome, Rejected) else None,
        )


def _pieces(texts: Sequence[Text]) -> Iterator[tuple[Text, int, str]]:
    for text in texts:
        for number, piece in enumerate(chunk(redact(text.text))):
            yield text, number, piece


def _hash(piece: str) -> bytes:
    return hashlib.sha256(piece.encode()).digest()
