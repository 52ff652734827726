"""The door to embeddings: OpenAI's API where there is a key, else a lexical stand-in that works offline."""

from collections.abc import Sequence
from typing import Protocol

from shared.embeddings.absent import AbsentEmbedder
from shared.embeddings.offline import LEAST_DIMENSION, MODEL, OfflineEmbedder
from shared.embeddings.settings import TIMEOUT_SECONDS


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


def configured(api_key: str | None, model: str, dimension: int) -> str:
    """The name of OpenAI's `model` at `dimension` with a key, else that of the offline embedder, as `name:3072`."""
    offline = OfflineEmbedder()
    return f"{model}:{dimension}" if api_key else f"{offline.model}:{offline.dimension}"


def is_offline(name: str) -> bool:
    """Whether the model needs neither network nor key."""
    return name.startswith(MODEL)


def embedder(name: str, api_key: str | None, base_url: str | None, timeout: float = TIMEOUT_SECONDS) -> Embedder:
    """The embedder of a model by its name, as `name:3072`; an absent one if it cannot be made with what is here.

    An API that says nothing for `timeout` seconds is given up.
    """
    model, _, digits = name.rpartition(":")
    dimension = int(digits) if digits.isdecimal() else 0
    if is_offline(name):
        made = OfflineEmbedder(dimension) if dimension >= LEAST_DIMENSION else None
        return made if made and made.model == model else AbsentEmbedder(model, dimension, "no offline model")
    if not api_key:
        return AbsentEmbedder(model, dimension, "OPENAI_API_KEY is not set")
    # 0.6 s to import, which a function without a key must not pay.
    from shared.embeddings.openai import OpenAIEmbedder

    return OpenAIEmbedder(api_key, base_url, model, dimension, timeout)
