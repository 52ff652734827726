"""Tasks that wait for vectors, and when each is tried again."""

import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from shared.redis.connection import Connection

_BASE_SECONDS = 1.0
_CAP_SECONDS = 600.0
_MOST = 10_000
# So many tries in vain are likely the API's fault, and no reason to part a task from the others.
_TOGETHER = 6
# Longer than it takes to embed what was taken; who dies meanwhile holds it up for no longer.
_TAKEN_SECONDS = 60

_TAKE = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local taken = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, task in ipairs(taken) do redis.call('ZADD', KEYS[1], now + ARGV[2], task) end
return taken
"""


class RedisLater:
    """A queue by due time. What it loses is in Postgres: whoever finds nothing due fills it from there.

    A task that is put off goes to the end of the queue: whoever tries has a pause to keep in any case, and
    many tasks are one call. After some tries in vain it is due after a random part (full jitter) of a time that
    doubles with each, up to ten minutes, so one that can never be done is soon alone with its failures.
    While Redis is away, this process keeps a queue of its own.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._due, self._tries = (f"facteur:later:{name}:{what}" for what in ("due", "tries"))
        self._own = _OwnLater()
        self._trying = threading.Lock()

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """True for one caller of this process at a time, False for the others."""
        alone = self._trying.acquire(blocking=False)
        try:
            yield alone
        finally:
            if alone:
                self._trying.release()

    def take(self, limit: int) -> Sequence[UUID]:
        """At most `limit` tasks that are due, the longest waiting first.

        Nobody else has them for a minute, or until they are given back, put off or done.
        """

        def work(client: Any) -> list[UUID]:
            return [UUID(raw.decode()) for raw in client.eval(_TAKE, 1, self._due, limit, _TAKEN_SECONDS)]

        found = self._connection.do(work, None)
        return self._own.take(limit) if found is None else found

    def add(self, tasks: Sequence[UUID]) -> None:
        """Tasks are due now; of one that is in the queue already nothing changes."""

        def work(client: Any) -> bool:
            now = _now(client)
            client.zadd(self._due, {str(task): now for task in tasks}, nx=True)
            return True

        if tasks and not self._connection.do(work, False):
            self._own.add(tasks)

    def give_back(self, tasks: Sequence[UUID]) -> None:
        """Tasks that were taken have not been tried: they are due."""

        def work(client: Any) -> bool:
            now = _now(client)
            client.zadd(self._due, {str(task): now for task in tasks}, xx=True)
            return True

        if tasks and not self._connection.do(work, False):
            self._own.give_back(tasks)

    def put_off(self, tasks: Sequence[UUID]) -> None:
        """Tasks were tried in vain."""

        def work(client: Any) -> bool:
            with client.pipeline(transaction=False) as pipeline:
                pipeline.time()
                for task in tasks:
                    pipeline.hincrby(self._tries, str(task), 1)
                (seconds, micros), *tries = pipeline.execute()
            now = seconds + micros / 1e6
            client.zadd(self._due, {str(task): now + _back_off(n) for task, n in zip(tasks, tries, strict=True)})
            return True

        if tasks and not self._connection.do(work, False):
            self._own.put_off(tasks)

    def done(self, tasks: Sequence[UUID]) -> None:
        """Nothing is left to be tried of these tasks."""

        def work(client: Any) -> None:
            with client.pipeline(transaction=False) as pipeline:
                pipeline.zrem(self._due, *map(str, tasks))
                pipeline.hdel(self._tries, *map(str, tasks))
                pipeline.execute()

        if tasks:
            self._connection.do(work, None)
            self._own.done(tasks)


class _OwnLater:
    """The same in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[UUID, tuple[float, int]] = {}

    def take(self, limit: int) -> list[UUID]:
        now = time.monotonic()
        with self._lock:
            # Equal times keep the order in which they came.
            found = sorted(
                (at, number, task) for number, (task, (at, _)) in enumerate(self._tasks.items()) if at <= now
            )
            taken = [task for _, _, task in found[:limit]]
            for task in taken:
                self._tasks[task] = (now + _TAKEN_SECONDS, self._tasks[task][1])
        return taken

    def give_back(self, tasks: Sequence[UUID]) -> None:
        now = time.monotonic()
        self._put({task: (now, self._tasks[task][1]) for task in tasks if task in self._tasks})

    def add(self, tasks: Sequence[UUID]) -> None:
        self._put({task: (time.monotonic(), 0) for task in tasks if task not in self._tasks})

    def put_off(self, tasks: Sequence[UUID]) -> None:
        tries = {task: self._tasks.get(task, (0.0, 0))[1] + 1 for task in tasks}
        self._put({task: (time.monotonic() + _back_off(n), n) for task, n in tries.items()})

    def done(self, tasks: Sequence[UUID]) -> None:
        with self._lock:
            for task in tasks:
                self._tasks.pop(task, None)

    def _put(self, tasks: Mapping[UUID, tuple[float, int]]) -> None:
        with self._lock:
            for task, when in tasks.items():
                if task in self._tasks or len(self._tasks) < _MOST:
                    self._tasks[task] = when


def _now(client: Any) -> float:
    seconds, micros = client.time()
    return float(seconds + micros / 1e6)


def _back_off(tries: int) -> float:
    doubled = 2 ** min(max(0, tries - _TOGETHER), 16)
    return random.uniform(0, min(_CAP_SECONDS, _BASE_SECONDS * doubled)) if tries > _TOGETHER else 0.0  # noqa: S311
