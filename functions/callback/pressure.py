"""Back-pressure: who comes when too many are served already is told to come again, before anything is read."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from shared.domain.errors import InFlight, Throttled

# The server has a few threads more than this, which tell the others to wait.
AT_ONCE = 40
# A container sends one request at a time; a second one follows a connection that broke.
OF_ONE_TASK = 3
_RETRY_SECONDS = 1


class Pressure:
    """Counts the requests that are being served."""

    def __init__(self, at_once: int = AT_ONCE, of_one_task: int = OF_ONE_TASK) -> None:
        self._at_once = at_once
        self._of_one_task = of_one_task
        self._lock = threading.Lock()
        self._serving: Counter[UUID] = Counter()

    @contextmanager
    def admitted(self, task: UUID) -> Iterator[None]:
        """Throttled while too many requests, or too many of this task, are inside, or hold one another up."""
        with self._lock:
            if self._serving.total() >= self._at_once or self._serving[task] >= self._of_one_task:
                raise Throttled("too many requests at once: send them again, and reports together", _RETRY_SECONDS)
            self._serving[task] += 1
        try:
            yield
        except InFlight as error:  # as a conflict it would say that the attempt is over
            raise Throttled(str(error), _RETRY_SECONDS) from None
        finally:
            with self._lock:
                self._serving[task] -= 1
                if not self._serving[task]:
                    del self._serving[task]
