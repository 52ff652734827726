"""A broker in the process of the test, whose clock stands still until it is moved: no machine is too slow for it."""

import asyncio
import os
import signal
import time
from argparse import Namespace
from asyncio import TimerHandle
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from contextvars import Context
from pathlib import Path
from typing import Any, TypeVarTuple

from shared.local import manifests
from shared.local.broker.__main__ import _serve
from shared.local.broker.broker import _GRACE
from shared.local.state import free_port, is_free
from tests.integration.broker.actors import BrokerProcess, Delivery, Reply, Subscriber, Valkey, eventually, write
from tests.patience import PATIENCE

_Given = TypeVarTuple("_Given")


class StandingClock(asyncio.SelectorEventLoop):
    """An event loop whose time is what the test makes it."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._timers: list[TimerHandle] = []

    def time(self) -> float:
        return self._now

    def call_at(
        self, when: float, callback: Callable[[*_Given], object], *args: *_Given, context: Context | None = None
    ) -> TimerHandle:
        timer = super().call_at(when, callback, *args, context=context)
        self._timers.append(timer)
        return timer

    def move(self, seconds: float) -> None:
        self._now += seconds

    async def skip(self, most: float = 1.0) -> None:
        """Moves to the next moment that is waited for, as soon as one is at most so many seconds away."""
        deadline = time.monotonic() + PATIENCE
        while not (near := [when for when in self._awaited() if when <= self._now + most]):
            assert time.monotonic() < deadline, "nobody waits for the clock"
            await asyncio.to_thread(time.sleep, 0.01)
        self._now = min(near)

    def _awaited(self) -> list[float]:
        self._timers = [timer for timer in self._timers if not timer.cancelled() and timer.when() > self._now]
        return [timer.when() for timer in self._timers]

    def timed(self, times: list[float], answer: Callable[[Delivery, int], Reply]) -> Callable[[Delivery, int], Reply]:
        """An answer of a subscriber that also keeps when it was asked."""

        def keep(delivery: Delivery, number: int) -> Reply:
            times.append(self._now)
            return answer(delivery, number)

        return keep

    def run(self, scenario: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=lambda: self) as runner:
            runner.run(scenario)


class Standing(BrokerProcess):
    """The broker as `python -m shared.local.broker` runs it, in the running loop, which must be a StandingClock."""

    def __init__(self, folder: Path, redis: Valkey, subscribers: Mapping[str, Subscriber]) -> None:
        super().__init__(folder, redis.url, {name: one.url for name, one in subscribers.items()})
        self.port = free_port()
        self.endpoint = ("127.0.0.1", self.port)
        options = Namespace(listen=self.address, redis=self.redis, prefix=self.prefix)
        self.task = asyncio.create_task(_serve(options, manifests.load(folder), self.services))

    async def send(self, headers: Mapping[str, str]) -> str:
        return await asyncio.to_thread(self.publish, headers)

    async def told_to_stop(self) -> None:
        """Until it takes no more connections."""
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.to_thread(eventually, lambda: is_free(self.port))


@asynccontextmanager
async def standing(
    folder: Path, redis: Valkey, *documents: Mapping[str, Any], **ends: Subscriber
) -> AsyncIterator[Standing]:
    """A broker for these manifests and subscribers; at the end of the block it has stopped."""
    write(folder, *documents)
    broker = Standing(folder, redis, ends)
    await asyncio.to_thread(eventually, lambda: not is_free(broker.port))
    try:
        yield broker
    finally:
        if not broker.task.done():
            await broker.told_to_stop()
            clock = asyncio.get_running_loop()
            assert isinstance(clock, StandingClock)
            clock.move(_GRACE)
        await broker.task
        for _ in range(3):  # what is closed is so in the next rounds of the loop
            await asyncio.sleep(0)
