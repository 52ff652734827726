"""Waiting for the other side: back-off with jitter, and an end to it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from shared.runner.errors import Away

_FIRST, _LONGEST, _LONGEST_ASKED = 0.2, 10.0, 300.0

Result = TypeVar("Result")


class Backoff:
    """Pauses between tries, in seconds: what the other side asks for, else doubling, with jitter."""

    def __init__(self) -> None:
        self._pause = _FIRST
        self._jitter = random.SystemRandom()

    def pause(self, away: Away) -> float:
        if away.retry_after is not None:
            return min(away.retry_after, _LONGEST_ASKED)
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST)
        return pause * self._jitter.uniform(0.5, 1.0)

    def reset(self) -> None:
        self._pause = _FIRST


def persist(work: Callable[[], Result], until: float) -> Result:
    """The result of `work`, tried again while it says Away, the last time at `until` (monotonic seconds)."""
    backoff = Backoff()
    while True:
        try:
            return work()
        except Away as away:
            left = until - time.monotonic()
            if left <= 0:
                raise
            time.sleep(min(backoff.pause(away), left))
