"""The embedder's role without threads and time: what stands behind it is asked at once."""

from collections.abc import Sequence
from uuid import UUID

from functions.embedder.embed import Outcome
from shared.domain.errors import FacteurError
from shared.embeddings import Embedder


class Direct:
    """Asks for each text alone, and tells what became of it."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.model = embedder.model
        self.dimension = embedder.dimension
        self.paused = 0.0

    def embed(self, texts: Sequence[str], patience: float) -> list[Outcome]:
        return [self._one(text) for text in texts]

    def pause(self) -> float:
        return self.paused

    def _one(self, text: str) -> Outcome:
        try:
            return self._embedder.embed([text])[0]
        except FacteurError as error:
            return error


class FakeLater:
    """The queue of what is tried later; what is put off is due again when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[UUID] = []
        self.off: list[UUID] = []

    def due(self, limit: int) -> list[UUID]:
        return [task for task in self.waiting if task not in self.off][:limit]

    def add(self, tasks: Sequence[UUID]) -> None:
        self.waiting += [task for task in tasks if task not in self.waiting]

    def put_off(self, tasks: Sequence[UUID]) -> None:
        self.add(tasks)
        self.off += tasks

    def done(self, tasks: Sequence[UUID]) -> None:
        self.waiting = [task for task in self.waiting if task not in tasks]

    def time_goes_by(self) -> None:
        self.off.clear()
