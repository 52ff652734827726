"""Keeps us from asking more of the API server than it is meant to bear."""

import threading
import time

from shared.domain.errors import Unavailable

LONGEST_PAUSE = 2.0  # seconds


class Limiter:
    """A bucket of `burst` tokens that `qps` a second fill; whoever finds it empty waits for theirs."""

    def __init__(self, qps: float, burst: int) -> None:
        self._qps, self._burst = qps, burst
        self._lock = threading.Lock()
        self._tokens, self._at = float(burst), time.monotonic()

    def wait(self) -> None:
        """Unavailable rather than wait for longer than two seconds."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._qps)
            self._at = now
            pause = (1 - self._tokens) / self._qps
            if pause > LONGEST_PAUSE:
                raise Unavailable("too many calls of the API server at once: see FACTEUR_KUBERNETES_QPS", retry_after=2)
            self._tokens -= 1
        if pause > 0:
            time.sleep(pause)
