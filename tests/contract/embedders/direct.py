"""The embedder's role without threads and time: what stands behind it is asked at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from functions.embedder.embed import AT_ONCE, Outcome
from shared.domain.errors import FacteurError
from shared.embeddings import Embedder


class Direct:
    """Asks for each text alone, and tells what became of it."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.model = embedder.model
        self.dimension = embedder.dimension
        self.paused = 0.0
        self.most = AT_ONCE
        self.calls: list[list[str]] = []

    def embed(self, texts: Sequence[str], patience: float) -> list[Outcome]:
        self.calls.append(list(texts))
        return [self._one(text) for text in texts]

    def pause(self) -> float:
        return self.paused

    def fitting(self, texts: Sequence[str]) -> int:
        return min(len(texts), self.most)

    def _one(self, text: str) -> Outcome:
        try:
            return self._embedder.embed([text])[0]
        except FacteurError as error:
            return error


class FakeLater:
    """The queue of what is tried later; what is put off is due again when the test says so.

    With `others` another caller is at it.
    """

    def __init__(self) -> None:
        self.waiting: list[UUID] = []
        self.off: list[UUID] = []
        self.others = False

    @contextmanager
    def alone(self) -> Iterator[bool]:
        yield not self.others

    def take(self, limit: int) -> list[UUID]:
        taken = [task for task in self.waiting if task not in self.off][:limit]
        self.off += taken
        return taken

    def give_back(self, tasks: Sequence[UUID]) -> None:
        self.off = [task for task in self.off if task not in tasks]

    def add(self, tasks: Sequence[UUID]) -> None:
        self.waiting += [task for task in tasks if task not in self.waiting]

    def put_off(self, tasks: Sequence[UUID]) -> None:
        self.add(tasks)
        self.off += tasks

    def done(self, tasks: Sequence[UUID]) -> None:
        self.waiting = [task for task in self.waiting if task not in tasks]
        self.give_back(tasks)

    def time_goes_by(self) -> None:
        self.off.clear()
