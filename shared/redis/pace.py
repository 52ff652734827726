"""When an API may be asked: Retry-After, back-off and a breaker, the same for every process."""

import random
import threading
import time
from typing import Any

from shared.redis.connection import Connection

_BASE_SECONDS = 0.5
_CAP_SECONDS = 60.0
# How long one caller tries, after a failure, while the others wait for what becomes of it.
_PROBE_SECONDS = 30
_FORGET_SECONDS = 3600

# A pause is never shortened.
_LONGER = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], 1, 'PX', ARGV[1]) end
return 1
"""


class RedisPace:
    """The breaker of the API `name`: closed, open for a while after a failure, then half open for one probe.

    It is open for as long as the API asked for, and longer by a random part (full jitter) of a time that
    doubles with each failure in a row, up to a minute. Redis tells the other processes. What this
    process has seen itself it remembers, so a Redis that is away or flushed shortens no pause of its own.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._pause, self._probe, self._failures = (
            f"facteur:pace:{name}:{what}" for what in ("pause", "probe", "failures")
        )
        self._lock = threading.Lock()
        self._until = 0.0
        self._failed = 0

    def pause(self) -> float:
        """The seconds until the API may be asked, 0 if it may be now."""
        left = self._connection.do(lambda client: float(client.pttl(self._pause)) / 1000, 0.0)
        return max(left, self._until - time.monotonic(), 0.0)

    def enter(self) -> float:
        """As `pause`; after a failure 0 is answered to one caller, who then says what became of it."""
        pause = self.pause()
        return pause or self._connection.do(self._half_open, 0.0)

    def succeeded(self) -> None:
        """The API has answered: the breaker is closed."""
        self._failed = 0
        self._connection.do(lambda client: client.delete(self._failures, self._probe), 0)

    def failed(self, at_least: float) -> None:
        """The API has not: the breaker is open for `at_least` seconds and the back-off."""
        with self._lock:
            self._failed += 1
            failed = max(self._failed, self._connection.do(self._count, 0))
            wait = at_least + random.uniform(0, min(_CAP_SECONDS, _BASE_SECONDS * 2 ** min(failed, 16)))  # noqa: S311
            self._until = max(self._until, time.monotonic() + wait)
        self._connection.do(lambda client: self._open(client, wait), None)

    def _half_open(self, client: Any) -> float:
        if not client.exists(self._failures) or client.set(self._probe, 1, nx=True, ex=_PROBE_SECONDS):
            return 0.0
        return max(float(client.pttl(self._probe)) / 1000, 0.1)

    def _count(self, client: Any) -> int:
        with client.pipeline() as pipeline:
            pipeline.incr(self._failures)
            pipeline.expire(self._failures, _FORGET_SECONDS)
            return int(pipeline.execute()[0])

    def _open(self, client: Any, wait: float) -> None:
        with client.pipeline() as pipeline:
            pipeline.eval(_LONGER, 1, self._pause, int(wait * 1000) + 1)
            pipeline.delete(self._probe)
            pipeline.execute()
