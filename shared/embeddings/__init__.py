"""The door to embeddings: OpenAI's API where there is a key, else a lexical stand-in that works offline."""

from collections.abc import Sequence
from typing import Protocol

from shared.embeddings.offline import OfflineEmbedder


class Embedder(Protocol):
    """Turns texts into vectors. Vectors of different `model` names cannot be compared."""

    @property
    def model(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def describe(self) -> str:
        """One sentence for people: which model this is and what it can do."""

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector of unit length per text, in order; no texts, no vectors.

        Raises Rejected for an empty text, or one the model refuses for ever, and Unavailable
        (or Throttled) when it cannot be done now.
        """


def embedder(api_key: str | None, base_url: str | None, model: str, dimension: int) -> Embedder:
    """OpenAI's `model` at `dimension` with a key, else the offline embedder, which has its own of both."""
    if not api_key:
        return OfflineEmbedder()
    # 0.6 s to import, which a function without a key must not pay.
    from shared.embeddings.openai import OpenAIEmbedder

    return OpenAIEmbedder(api_key, base_url, model, dimension)
