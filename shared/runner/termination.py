"""SIGTERM as an exception, so that a task's block is left the ordinary way."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from shared.runner.errors import Terminated

# Whoever sends SIGTERM to a container usually follows with SIGKILL, seldom sooner than after five seconds.
GRACE = 4.0


class Termination:
    """Raises Terminated in the main thread at the first SIGTERM, while it is installed."""

    def __init__(self) -> None:
        self._previous: Any = None
        self._installed = False
        self._told = False

    def install(self) -> None:
        """Only the main thread may do this; elsewhere SIGTERM keeps its meaning."""
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._tell)
            self._installed = True

    def restore(self) -> None:
        if self._installed:
            # None stands for a handler that was not set from Python; it cannot be put back.
            signal.signal(signal.SIGTERM, signal.SIG_DFL if self._previous is None else self._previous)
            self._installed = False

    def _tell(self, _number: int, _frame: FrameType | None) -> None:
        if not self._told:
            self._told = True
            raise Terminated(128 + signal.SIGTERM)
