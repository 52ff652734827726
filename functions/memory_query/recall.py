"""The use case: the memories most like a text or a vector; by words alone while no vector can be made."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.errors import FacteurError, Rejected, Unavailable
from shared.domain.memory import Recalled
from shared.domain.memory_index import Filters, Question
from shared.domain.redaction import redact

# Who asks waits for the API for so long, and is then answered by words alone.
PATIENCE_SECONDS = 3.0


class Embedder(Protocol):
    """Makes unit vectors, or says of each text why it has none."""

    @property
    def model(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str], patience: float) -> Sequence[Sequence[float] | FacteurError]: ...

    def pause(self) -> float:
        """The seconds for which it shall not be asked."""


class Vectors(Protocol):
    """Vectors that texts of tasks have."""

    def vector(self, content_hash: bytes, model: str) -> Sequence[float] | None:
        """None where there is none yet; Rejected where the model refuses the text for ever."""


class Cache(Protocol):
    """Vectors of texts that were asked before."""

    def get(self, model: str, text: str) -> Sequence[float] | None: ...

    def put(self, model: str, text: str, vector: Sequence[float]) -> None: ...


class Search(Protocol):
    """Finds memories by vector, by words, or by both."""

    def search(self, question: Question, filters: Filters, limit: int) -> Sequence[Recalled]: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, best first; `degraded` says that words alone were compared."""

    results: Sequence[Recalled]
    degraded: bool
    model: str


class Recall:
    """Finds memories for a question."""

    def __init__(self, memories: Search, vectors: Vectors, embedder: Embedder, cache: Cache) -> None:
        self._memories = memories
        self._vectors = vectors
        self._embedder = embedder
        self._cache = cache
        self._model = f"{embedder.model}:{embedder.dimension}"

    def by_text(self, text: str, filters: Filters, limit: int) -> Answer:
        """Most like a text, which is embedded at most once a day; lexical and `degraded` if it cannot be soon."""
        # As it is remembered: a piece of a text does not end in white space.
        wanted = redact(text).rstrip()
        try:
            vector = self._vector(wanted)
        except (Unavailable, Rejected):
            vector = None
        found = self._memories.search(Question(self._model, wanted, vector), filters, limit)
        return Answer(found, vector is None, self._model)

    def by_vector(self, vector: Sequence[float], filters: Filters, limit: int) -> Answer:
        """Nearest to a vector of the model in use, of any length but zero; Rejected for another dimension."""
        if len(vector) != self._embedder.dimension:
            raise Rejected(f"the vector must have {self._embedder.dimension} numbers, made by {self._embedder.model}")
        length = math.hypot(*vector)
        if not 0 < length < math.inf:
            raise Rejected("the vector has no direction: it is zero or too long")
        unit = [value / length for value in vector]
        found = self._memories.search(Question(self._model, vector=unit), filters, limit)
        return Answer(found, False, self._model)

    def _vector(self, text: str) -> Sequence[float]:
        known = self._cache.get(self._model, text)
        if known is None:
            known = self._vectors.vector(hashlib.sha256(text.encode()).digest(), self._model)
        if known is not None:
            return known
        if self._embedder.pause():
            raise Unavailable("the model is not asked for a while")
        (outcome,) = self._embedder.embed([text], PATIENCE_SECONDS)
        if isinstance(outcome, FacteurError):
            raise outcome
        self._cache.put(self._model, text, outcome)
        return outcome
