"""Vectors of questions that were asked before, so that the same question is embedded once."""

import hashlib
import logging
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import redis

log = logging.getLogger(__name__)

_SECONDS = 24 * 3600
_AT_ONCE = 1000


class RedisVectors:
    """A cache from text to vector, per model. Without Redis every look-up is a miss."""

    def __init__(self, url: str, timeout: float = 0.5) -> None:
        self._url = url
        self._timeout = timeout
        self._client: redis.Redis | None = None

    def get(self, model: str, text: str) -> list[float] | None:
        """The vector that `put` stored, None if there is none or Redis is away."""
        import redis

        try:
            found = self._connected().get(key(model, text))
            return array("f", found).tolist() if isinstance(found, bytes) else None
        except (redis.RedisError, ValueError):  # away, or not what `put` wrote
            return None

    def put(self, model: str, text: str, vector: Sequence[float]) -> None:
        """Keeps a vector for a day, if Redis is there."""
        import redis

        try:
            self._connected().set(key(model, text), array("f", vector).tobytes(), ex=_SECONDS)
        except redis.RedisError as error:
            log.info("vector not cached", extra={"facts": {"error": type(error).__name__}})

    def forget(self, models: Sequence[str], contents: Sequence[bytes]) -> bool:
        """Drops the vectors of texts, by their SHA-256, fresh ones too; False if Redis is away.

        Then, or if somebody makes them at this moment, they are gone within a day.
        """
        import redis

        keys = [_of_hash(model, content.hex()) for model in models for content in contents]
        try:
            for start in range(0, len(keys), _AT_ONCE):
                self._connected().delete(*keys[start : start + _AT_ONCE])
            return True
        except (redis.RedisError, ValueError):
            return False

    def _connected(self) -> "redis.Redis":
        # 100 ms of import that a request with a vector of its own, or for health, should not pay.
        import redis

        if self._client is None:
            self._client = redis.Redis.from_url(
                self._url, socket_timeout=self._timeout, socket_connect_timeout=self._timeout
            )
        return self._client


def key(model: str, text: str) -> str:
    """Where the vector of a text is kept; the text itself is not in it."""
    return _of_hash(model, hashlib.sha256(text.encode()).hexdigest())


def _of_hash(model: str, digits: str) -> str:
    return f"facteur:vector:{model}:{digits}"
