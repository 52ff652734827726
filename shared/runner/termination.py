"""SIGTERM as an exception, so that a task's block is left the ordinary way; or as a call, while a child works."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from shared.runner.errors import Terminated

# Whoever sends SIGTERM to a container usually follows with SIGKILL, seldom sooner than after five seconds.
GRACE = 4.0

Listener = Callable[[int], None]


class Termination:
    """Raises Terminated in the main thread at the first SIGTERM, while it is installed."""

    def __init__(self) -> None:
        self._previous: Any = None
        self._installed = False
        self._told_at: float | None = None
        self._raised: Terminated | None = None
        self._listener: Listener | None = None

    @property
    def until(self) -> float:
        """When everything has to be done (monotonic seconds)."""
        return (time.monotonic() if self._told_at is None else self._told_at) + GRACE

    def install(self) -> None:
        """Only the main thread may do this; elsewhere SIGTERM keeps its meaning."""
        if _in_main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._tell)
            self._installed = True

    def restore(self) -> None:
        if self._installed:
            _put_back(signal.SIGTERM, self._previous)
            self._installed = False
            self._raised = None

    def insist(self) -> None:
        """Raises Terminated once more where it got lost: what is raised within a finalizer, Python ignores."""
        if self._raised is not None and _in_main_thread() and not _is_handled(self._raised):
            raise self._raised

    @contextmanager
    def heard_by(self, listener: Listener) -> Iterator[None]:
        """Within this block every SIGTERM and SIGINT is a call of `listener`; leaving it raises Terminated then."""
        heard: list[int] = []

        def listen(number: int) -> None:
            heard.append(number)
            listener(number)

        interrupt = signal.signal(signal.SIGINT, self._tell)
        self._listener = listen
        try:
            yield
        finally:
            self._listener = None
            _put_back(signal.SIGINT, interrupt)
        if heard:
            raise Terminated(128 + heard[0])

    def _tell(self, number: int, _frame: FrameType | None) -> None:
        first = self._told_at is None
        if first:
            self._told_at = time.monotonic()
        if self._listener is not None:
            self._listener(number)
        elif first:
            self._raised = Terminated(128 + number)
            raise self._raised


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _is_handled(raised: Terminated) -> bool:
    error = sys.exc_info()[1]
    while error is not None and error is not raised:
        error = error.__context__
    return error is raised


def _put_back(number: int, previous: Any) -> None:
    # None stands for a handler that was not set from Python; it cannot be put back.
    signal.signal(number, signal.SIG_DFL if previous is None else previous)
