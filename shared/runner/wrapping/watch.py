"""Waits for what ends an agent: its own end, a signal, the deadline, or that its attempt is over."""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from shared.runner.errors import RunnerError
from shared.runner.wrapping.agent_process import Agent

# With what follows it, the end of an agent that is told to end takes less than five seconds.
GRACE = 2.0
_TICK = 0.5


@dataclass(frozen=True)
class Ended:
    """The agent has ended; `code` is negative where a signal did it."""

    code: int


@dataclass(frozen=True)
class Signaled:
    """This process got a signal."""

    number: int


@dataclass(frozen=True)
class Over:
    """The callback takes nothing more from this attempt: the work is void."""

    error: RunnerError


@dataclass(frozen=True)
class Late:
    """There is no more time."""


class Watch:
    """What happens comes in by `tell`, from any thread or signal handler; one thread looks at it."""

    def __init__(self, stop_at: float | None, grace: float = GRACE) -> None:
        self._stop_at = stop_at
        self._grace = grace
        self._news: queue.SimpleQueue[Ended | Signaled | Over] = queue.SimpleQueue()

    def tell(self, news: Ended | Signaled | Over) -> None:
        self._news.put(news)

    def wait(self, meanwhile: Callable[[], None]) -> Ended | Signaled | Over | Late:
        """The first thing that happens; `meanwhile` is called a few times a second."""
        while True:
            left = _TICK if self._stop_at is None else self._stop_at - time.monotonic()
            if left <= 0:
                return Late()
            try:
                return self._news.get(timeout=min(_TICK, left))
            except queue.Empty:
                meanwhile()

    def stop(self, agent: Agent, why: Signaled | Over | Late) -> int:
        """The exit code of an agent that is told to end, and killed after a while, or when something else happens."""
        if isinstance(why, Over):
            agent.signal(signal.SIGKILL)
        else:
            agent.signal(why.number if isinstance(why, Signaled) else signal.SIGTERM)
        while True:
            try:
                news: Ended | Signaled | Over | None = self._news.get(timeout=self._grace)
            except queue.Empty:
                news = None
            if isinstance(news, Ended):
                return news.code
            agent.signal(signal.SIGKILL)
