"""The use case: every text of a task that has no vector gets one, and the task moves on either way."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from shared.domain.errors import Rejected, Unavailable
from shared.domain.ids import stable_id
from shared.domain.memory import chunk
from shared.domain.memory_index import MemoryRow, Text
from shared.domain.redaction import redact
from shared.events.catalogue import TaskPrepared, announce
from shared.events.event import Event

log = logging.getLogger(__name__)

Vectors = Sequence[Sequence[float] | None]


class Embedder(Protocol):
    """Makes unit vectors of texts, in their order; Unavailable when it cannot now."""

    @property
    def model(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]: ...


class Memories(Protocol):
    """The memory index: what has no vector of `model` yet, and where rows are kept."""

    def missing(self, task: UUID | None, model: str, limit: int) -> Sequence[Text]: ...

    def store(self, rows: Sequence[MemoryRow], received: Event | None, announcement: Event | None) -> bool: ...


class Embed:
    """Embeds what is missing, of one task or of any."""

    def __init__(self, memories: Memories, embedder: Embedder, say: Callable[[Event], None]) -> None:
        self._memories = memories
        self._embedder = embedder
        self._say = say
        self._model = f"{embedder.model}:{embedder.dimension}"

    def accepted(self, task: UUID, received: Event, traceparent: str | None) -> None:
        """Embeds the prompt of a new task, and says that it is prepared, with or without a vector."""
        event = announce(TaskPrepared(task), "embedder", traceparent)
        if self._memories.store(self._rows(task), received, event):
            self._say(event)

    def reported(self, task: UUID, received: Event) -> None:
        """Embeds what a run has left since."""
        self._memories.store(self._rows(task), received, None)

    def catch_up(self, limit: int = 64) -> None:
        """Embeds what could not be embedded when it was new."""
        rows = self._rows(None, limit)
        if rows:
            self._memories.store(rows, None, None)

    def _rows(self, task: UUID | None, limit: int = 256) -> list[MemoryRow]:
        pieces = [
            (text, number, piece)
            for text in self._memories.missing(task, self._model, limit)
            for number, piece in enumerate(chunk(redact(text.text)))
        ]
        vectors = self._vectors([piece for _, _, piece in pieces])
        return [
            _row(text, number, piece, vector, self._model)
            for (text, number, piece), vector in zip(pieces, vectors, strict=True)
        ]

    def _vectors(self, pieces: Sequence[str]) -> Vectors:
        if not pieces:
            return []
        try:
            return self._embedder.embed(pieces)
        except Unavailable as error:
            why, refused = str(error), False
        except Rejected as error:
            why, refused = str(error), len(pieces) > 1
        if refused:  # One of them for ever: the others shall not suffer.
            return [vector for piece in pieces for vector in self._vectors([piece])]
        log.warning("not embedded", extra={"facts": {"texts": len(pieces), "why": why}})
        return [None] * len(pieces)


def _row(text: Text, number: int, piece: str, vector: Sequence[float] | None, model: str) -> MemoryRow:
    return MemoryRow(
        id=stable_id("memory", str(text.task_id), text.kind, text.source_ref, str(number)),
        text=text,
        chunk=number,
        content=piece,
        content_hash=hashlib.sha256(piece.encode()).digest(),
        vector=vector,
        model=model if vector is not None else None,
    )
