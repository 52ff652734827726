"""One connection to Redis, opened at first use; while Redis is away, the answer that does without it."""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 0.5
# How long a Redis that did not answer is not asked again: nobody shall wait for its timeout each time.
_AWAY_SECONDS = 2.0


class Connection:
    """Redis at `url`; without a url it is always away, and where it does not answer for `timeout` seconds."""

    def __init__(self, url: str | None, timeout: float = _TIMEOUT_SECONDS) -> None:
        self._url = url
        self._timeout = timeout
        self._client: Any = None
        self._away_until = 0.0

    def do(self, work: Callable[[Any], T], otherwise: T) -> T:
        """What `work` returns for the client, `otherwise` while Redis is away or holds something else."""
        if self._url is None or time.monotonic() < self._away_until:
            return otherwise
        # 100 ms of import that a start should not pay.
        import redis

        try:
            if self._client is None:
                self._client = redis.Redis.from_url(
                    self._url, socket_timeout=self._timeout, socket_connect_timeout=self._timeout
                )
            return work(self._client)
        except (redis.RedisError, ValueError) as error:
            log.info("done without Redis", extra={"facts": {"error": type(error).__name__}})
            if isinstance(error, redis.ConnectionError | redis.TimeoutError):
                self._away_until = time.monotonic() + _AWAY_SECONDS
            return otherwise
