"""Sends what is reported from a thread of its own, so that a slow callback holds nobody up."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from shared.runner.delivery import Delivery
from shared.runner.errors import Fenced, Refused, RunnerError

_LEAST_WAIT = 0.02
_FAREWELL = 0.5

log = logging.getLogger("codex.runner")


class Courier(threading.Thread):
    """Sends what `delivery` keeps, as soon as it may; and heartbeats, once nothing was reported for a while."""

    def __init__(
        self,
        delivery: Delivery,
        heartbeat: float,
        beat: Callable[[], None],
        over: Callable[[RunnerError], None],
    ) -> None:
        super().__init__(name="courier", daemon=True)
        self._delivery = delivery
        self._heartbeat = heartbeat
        self._beat = beat
        self._over = over
        self._beaten_at = time.monotonic()
        self._stopped = threading.Event()

    def start(self) -> None:
        self._delivery.news = threading.Event()
        super().start()

    def stop(self) -> None:
        """From here on reports are sent by whoever makes them. A request that hangs is not waited for."""
        news, self._delivery.news = self._delivery.news, None
        self._stopped.set()
        if news is not None:
            news.set()
        self.join(_FAREWELL)

    def run(self) -> None:
        news = self._delivery.news
        while news is not None and not self._stopped.is_set():
            news.wait(self._pause())
            news.clear()
            try:
                self._deliver()
            except (Fenced, Refused) as error:
                if not self._stopped.is_set():
                    self._over(error)
                return
            except (RunnerError, OSError) as error:
                if not self._stopped.is_set():
                    log.warning("%s", error)

    def _deliver(self) -> None:
        if self._stopped.is_set():
            return
        if time.monotonic() >= self._beat_due() and not self._delivery.delayed:
            self._beaten_at = time.monotonic()
            if not self._delivery.ended:
                self._beat()
        self._delivery.send()

    def _pause(self) -> float:
        due = self._delivery.not_before if self._delivery.delayed else self._beat_due()
        return max(_LEAST_WAIT, due - time.monotonic())

    def _beat_due(self) -> float:
        return max(self._delivery.reported_at, self._beaten_at) + self._heartbeat
