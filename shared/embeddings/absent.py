"""An embedder for a model that cannot be asked from here."""

from collections.abc import Sequence
from typing import NoReturn

from shared.domain.errors import Unavailable


class AbsentEmbedder:
    """Is away for ever: texts wait for a process that can ask the model, and questions are answered by words."""

    def __init__(self, model: str, dimension: int, why: str) -> None:
        self.model = model
        self.dimension = dimension
        self._why = why

    def describe(self) -> str:
        return f"{self.model}: cannot be asked, because {self._why}"

    def embed(self, _texts: Sequence[str]) -> NoReturn:
        """Raises Unavailable."""
        raise Unavailable(f"{self.model} cannot be asked: {self._why}")
