"""Vectors that were made a moment ago, by any process, and who is making which."""

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from shared.redis.connection import Connection
from shared.redis.vectors import key

# Longer than it takes to store them: who comes later finds them in Postgres.
_KEPT_SECONDS = 600
# Longer than a call takes; who dies meanwhile holds a text up for no longer.
_CLAIMED_SECONDS = 30


class RedisFreshVectors:
    """So that no two processes embed the same text. Without Redis they may, and each has its vector."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get_many(self, model: str, texts: Sequence[str]) -> Mapping[str, Sequence[float]]:
        """The vectors that are there, by text."""
        keys = [key(model, text) for text in texts]
        nothing: list[bytes | None] = [None] * len(keys)
        found = self._connection.do(lambda client: list(client.mget(keys)), nothing)
        return {
            text: array("f", raw).tolist() for text, raw in zip(texts, found, strict=True) if raw and len(raw) % 4 == 0
        }

    def claim(self, model: str, texts: Sequence[str]) -> Sequence[str]:
        """Those of the texts that nobody else is embedding."""

        def work(client: Any) -> list[bool]:
            with client.pipeline(transaction=False) as pipeline:
                for text in texts:
                    pipeline.set(_claim(model, text), 1, nx=True, ex=_CLAIMED_SECONDS)
                return [bool(done) for done in pipeline.execute()]

        mine = self._connection.do(work, [True] * len(texts))
        return [text for text, own in zip(texts, mine, strict=True) if own]

    def put_many(self, model: str, vectors: Mapping[str, Sequence[float]]) -> None:
        """Keeps vectors for some minutes, and ends the claims on their texts."""

        def work(client: Any) -> None:
            with client.pipeline(transaction=False) as pipeline:
                for text, vector in vectors.items():
                    pipeline.set(key(model, text), array("f", vector).tobytes(), ex=_KEPT_SECONDS)
                pipeline.delete(*(_claim(model, text) for text in vectors))
                pipeline.execute()

        self._connection.do(work, None)

    def release(self, model: str, texts: Sequence[str]) -> None:
        """Ends claims without a vector."""
        self._connection.do(lambda client: client.delete(*(_claim(model, text) for text in texts)), 0)


def _claim(model: str, text: str) -> str:
    return f"{key(model, text)}:claim"
