"""The use case: every text of a task that has no vector gets one, and the task moves on either way."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import takewhile
from typing import Protocol
from uuid import UUID

from shared.domain.change_shape import CHANGE_SHAPE, shape
from shared.domain.chunking import chunk
from shared.domain.errors import FacteurError, Rejected, Unavailable
from shared.domain.ids import stable_id
from shared.domain.memory_index import MemoryRow, Text
from shared.domain.redaction import redact
from shared.events.catalogue import TaskPrepared, announce
from shared.events.event import Event

# A launch waits for task.prepared, a tick is waited for by nobody.
LAUNCH_PATIENCE_SECONDS = 3.0
TICK_PATIENCE_SECONDS = 30.0
# Tasks and texts of a round, and the most rounds at a time.
AT_ONCE = 256
ROUNDS = 8
MOST_WAITING = 10_000

Outcome = Sequence[float] | FacteurError
# A text, and the pieces of it that get vectors.
Cut = tuple[Text, Sequence[str]]
_WAITS = Unavailable("it waits with others")


class Embedder(Protocol):
    """Makes unit vectors of texts; says of each why it has none: Rejected for ever, anything else for now."""

    @property
    def model(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str], patience: float) -> Sequence[Outcome]: ...

    def pause(self) -> float:
        """The seconds for which it shall not be asked."""

    def fitting(self, texts: Sequence[str]) -> int:
        """How many of the texts, from the first, are one call."""


class Memories(Protocol):
    """The memory index: what has no vector of the model in use yet, and where rows are kept."""

    def missing(self, tasks: Sequence[UUID], limit: int) -> Sequence[Text]: ...

    def waiting(self, limit: int) -> Sequence[UUID]: ...

    def known(self, hashes: Sequence[bytes], model: str) -> set[bytes]:
        """Those of contents that `model` need not be asked for again: it has made a vector, or refuses for ever."""

    def store(self, rows: Sequence[MemoryRow], received: Event | None, announcement: Event | None) -> bool: ...


class Later(Protocol):
    """Tasks that wait for vectors, each until it is due. May forget them."""

    def alone(self) -> AbstractContextManager[bool]:
        """True for one caller of this process at a time, False for the others."""

    def take(self, limit: int) -> Sequence[UUID]:
        """Tasks that are due; nobody else is given them for a while."""

    def add(self, tasks: Sequence[UUID]) -> None: ...

    def give_back(self, tasks: Sequence[UUID]) -> None:
        """Tasks that were taken are due again, as if they had not been."""

    def put_off(self, tasks: Sequence[UUID]) -> None:
        """Tasks were tried in vain."""

    def done(self, tasks: Sequence[UUID]) -> None: ...


class Embed:
    """Embeds what is missing, of one task or of any.

    While tasks wait, because the API has failed, a new one joins them: one caller at a time embeds what
    waits, in calls as large as they may be, as soon as the API may be asked.
    """

    def __init__(
        self,
        memories: Memories,
        embedder: Embedder,
        later: Later,
        say: Callable[[Event], None],
        in_use: Callable[[], bool],
    ) -> None:
        """`in_use` says whether the embedder's model still is."""
        self._memories = memories
        self._embedder = embedder
        self._later = later
        self._say = say
        self._in_use = in_use
        self._behind = False
        self._model = f"{embedder.model}:{embedder.dimension}"

    def accepted(self, task: UUID, received: Event, traceparent: str | None) -> None:
        """Embeds the prompt of a new task, and says that it is prepared, with or without a vector."""
        self._embed(task, received, announce(TaskPrepared(task), "embedder", traceparent))

    def reported(self, task: UUID, received: Event) -> None:
        """Embeds what a run has left since."""
        self._embed(task, received, None)

    def catch_up(self) -> None:
        """Embeds what could not be embedded when it was new, as far as it is due."""
        if self._rounds(TICK_PATIENCE_SECONDS):
            self._later.add(self._memories.waiting(MOST_WAITING))
            self._rounds(TICK_PATIENCE_SECONDS)

    def _embed(self, task: UUID, received: Event, announcement: Event | None) -> None:
        joins = self._behind
        texts = self._memories.missing([task], AT_ONCE)
        rows, waiting = self._rows([_cut(text) for text in texts], 0 if joins else LAUNCH_PATIENCE_SECONDS)
        first = self._memories.store(rows, received, announcement)
        if waiting or len(texts) == AT_ONCE:
            self._later.add([task])
            self._behind = True
        if first and announcement:
            self._say(announcement)
        if joins:
            self._rounds(LAUNCH_PATIENCE_SECONDS)

    def _rounds(self, patience: float) -> bool:
        """Embeds what is due, one call after the other; whether nothing is due any more.

        Ends once another model is in use: what this one makes would not be searched.
        """
        with self._later.alone() as alone:
            rounds = ROUNDS if alone else 0
            for _ in range(rounds):
                if self._embedder.pause() or not self._in_use():
                    break
                tasks = self._later.take(AT_ONCE)
                if not tasks:
                    self._behind = False
                    return True
                if not self._round(tasks, patience):
                    break
        return False

    def _round(self, tasks: Sequence[UUID], patience: float) -> bool:
        """Embeds as many texts of the tasks as are one call; False if none of them could be."""
        cut = [_cut(text) for text in self._memories.missing(tasks, AT_ONCE)]
        fitting = self._fitting(cut)
        rows, waiting = self._rows(cut[:fitting], patience)
        if not rows:
            self._later.done(tasks)
            return True
        self._memories.store(rows, None, None)
        tried = {text.task_id for text, _ in cut[:fitting]}
        # Of the last task, and of those that come after it, there may be more than was read.
        unread = {text.task_id for text, _ in [*cut[fitting:], cut[-1]]}
        done = tried - unread - waiting
        self._later.put_off([task for task in tasks if task in waiting])
        self._later.done([task for task in tasks if task in done])
        self._later.give_back([task for task in tasks if task not in done | waiting])
        return not waiting or waiting < tried

    def _fitting(self, cut: Sequence[Cut]) -> int:
        """How many of the texts, from the first, are one call; one at least."""
        pieces = list(dict.fromkeys(piece for _, pieces in cut for piece in pieces))
        one_call = set(pieces[: self._embedder.fitting(pieces)])
        return len(list(takewhile(lambda entry: one_call.issuperset(entry[1]), cut))) or 1

    def _rows(self, cut: Sequence[Cut], patience: float) -> tuple[list[MemoryRow], set[UUID]]:
        """The rows of texts, and the tasks that wait for a vector still; without patience nothing is asked."""
        pieces = [(text, number, piece) for text, pieces in cut for number, piece in enumerate(pieces)]
        known = self._memories.known([_hash(piece) for _, _, piece in pieces], self._model) if pieces else set()
        new = list(dict.fromkeys(piece for _, _, piece in pieces if _hash(piece) not in known))
        asked = self._embedder.embed(new, patience) if new and patience else [_WAITS] * len(new)
        outcomes = dict(zip(new, asked, strict=True))
        rows = [self._row(*piece, outcomes.get(piece[2])) for piece in pieces]
        waiting = {text.task_id for text, _, piece in pieces if _for_now(outcomes.get(piece))}
        return rows, waiting

    def _row(self, text: Text, number: int, piece: str, outcome: Outcome | None) -> MemoryRow:
        answered = outcome is not None and not _for_now(outcome)
        return MemoryRow(
            id=stable_id("memory", str(text.task_id), text.kind, text.source_ref, str(number)),
            text=text,
            chunk=number,
            content=piece,
            content_hash=_hash(piece),
            vector=None if isinstance(outcome, FacteurError) else outcome,
            model=self._model if answered else None,
        )


def _for_now(outcome: Outcome | None) -> bool:
    """Whether the model could not answer, and will be asked again."""
    return isinstance(outcome, FacteurError) and not isinstance(outcome, Rejected)


def _cut(text: Text) -> Cut:
    content = shape(text.text) if text.kind == CHANGE_SHAPE else text.text
    return text, chunk(redact(content))


def _hash(piece: str) -> bytes:
    return hashlib.sha256(piece.encode()).digest()
