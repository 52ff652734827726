"""Looks at the open cards again and again, while there are some."""

import logging
import threading
from collections.abc import Callable

from shared.domain.errors import FacteurError

log = logging.getLogger(__name__)

SECONDS = 2.0
# While the database is away.
AWAY_SECONDS = 10.0


class Follower:
    """A thread that does `round` every two seconds as long as it returns True.

    `wait` waits so many seconds and returns True when the process is to stop.
    """

    def __init__(self, round_: Callable[[], bool], wait: Callable[[float], bool]) -> None:
        self._round = round_
        self._wait = wait
        self._lock = threading.Lock()
        self._wanted = False
        self._runs = False

    def start(self) -> None:
        """There may be an open card; does nothing but say so where the thread runs already."""
        with self._lock:
            self._wanted = True
            if self._runs:
                return
            threading.Thread(target=self._run, name="follower", daemon=True).start()
            self._runs = True  # only now: where no thread could be made, whoever comes next tries it

    def _run(self) -> None:
        while self._goes_on():
            if self._wait(self._once()):
                return  # the process stops: nobody needs another thread

    def _goes_on(self) -> bool:
        """Whether there is a reason for another round. Whoever has one later starts another thread."""
        with self._lock:
            self._runs, self._wanted = self._wanted, False
            return self._runs

    def _once(self) -> float:
        """One round; the seconds until the next."""
        try:
            if self._round():
                self.start()
            return SECONDS
        except FacteurError as error:
            log.info("cards wait", extra={"facts": {"why": str(error)}})
        except Exception:  # the last resort of the thread: cards are looked at again, and the log says why
            log.exception("unexpected error")
        self.start()
        return AWAY_SECONDS
