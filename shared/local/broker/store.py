"""What the broker remembers in Redis: one stream of outstanding events per trigger.

An event goes into the stream of every trigger that wants it, in one transaction, and out of it when
the trigger is done with it. So a stream holds nothing but work, needs no trimming, a new trigger
starts with what comes after it, and after a crash what is in the streams is delivered again.
"""

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
_CONNECTIONS = 32
_PING_MEMORY = 7 * 86400


@dataclass(frozen=True, slots=True)
class Failure:
    """How often a delivery has failed, and the last answer; `body` is its beginning."""

    attempts: int
    status: int
    body: bytes


async def patiently(operation: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of a store operation, tried until Redis answers."""
    while True:
        try:
            return await operation(*args, **kwargs)
        except RedisError as error:
            log.warning("Redis is away: trying again", extra={"facts": {"error": type(error).__name__}})
            await asyncio.sleep(0.5)


def connect(url: str) -> Redis:
    """A client for the server at `url`; ValueError if that is no Redis URL."""
    # One retry without a pause: a server that was restarted leaves broken connections in the pool.
    retry = Retry(NoBackoff(), 1)
    try:
        pool = BlockingConnectionPool.from_url(
            url, max_connections=_CONNECTIONS, timeout=5, socket_timeout=5, retry=retry
        )
    except ValueError:
        raise ValueError("must be a URL that starts with redis://, rediss:// or unix://") from None
    return Redis.from_pool(pool)


class Store:
    """The broker's keys. Every method raises RedisError while Redis is away."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def adopt(self, triggers: Iterable[str]) -> None:
        """Forgets the triggers that are gone, with all that they had outstanding."""
        known: Any = await self._redis.smembers(self._key("triggers"))
        current = set(triggers)
        async with self._redis.pipeline(transaction=True) as commands:
            for name in {member.decode() for member in known} - current:
                commands.delete(self._events(name), self._failures(name))
                commands.srem(self._key("triggers"), name)
            if current:
                commands.sadd(self._key("triggers"), *current)
            await commands.execute()

    async def add(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """Appends (trigger, event) pairs: all of them or none."""
        if not entries:
            return
        async with self._redis.pipeline(transaction=True) as commands:
            for trigger, event in entries:
                commands.xadd(self._events(trigger), {"event": event})
            await commands.execute()

    async def after(self, trigger: str, entry: str | None, count: int) -> list[tuple[str, bytes]]:
        """The next outstanding events (entry id, event) after `entry`, from the first if None."""
        start = f"({entry}" if entry else "-"
        found: Any = await self._redis.xrange(self._events(trigger), start, "+", count)
        return [(entry_id.decode(), values[b"event"]) for entry_id, values in found]

    async def remove(self, trigger: str, entry: str) -> None:
        """The trigger is done with this event."""
        async with self._redis.pipeline(transaction=True) as commands:
            commands.xdel(self._events(trigger), entry)
            commands.hdel(self._failures(trigger), entry)
            await commands.execute()

    async def record(self, trigger: str, entry: str, failure: Failure) -> None:
        """Keeps the count of attempts for the time after a crash."""
        body = base64.b64encode(failure.body).decode()
        value = json.dumps([failure.attempts, failure.status, body])
        await self._redis.hset(self._failures(trigger), entry, value)

    async def failures(self, trigger: str) -> dict[str, Failure]:
        """The failures of all outstanding events, by entry id."""
        found: Any = await self._redis.hgetall(self._failures(trigger))
        return {entry.decode(): _failure(value) for entry, value in found.items()}

    async def claim(self, ping: str, tick: str) -> bool:
        """True for the first who claims this tick of a ping source."""
        key = self._key(f"ping:{ping}:{tick}")
        return bool(await self._redis.set(key, "1", nx=True, ex=_PING_MEMORY))

    async def ping(self) -> None:
        """Raises RedisError if Redis does not answer."""
        await self._redis.ping()

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _events(self, trigger: str) -> str:
        return self._key(f"events:{trigger}")

    def _failures(self, trigger: str) -> str:
        return self._key(f"failures:{trigger}")


def _failure(value: bytes) -> Failure:
    attempts, status, body = json.loads(value)
    return Failure(attempts, status, base64.b64decode(body))
