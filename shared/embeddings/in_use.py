"""What a process makes of the model in use, which may change while it runs."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)

# For so long a process may go on with the model before.
NOTICED_SECONDS = 5.0


class InUse(Generic[T]):
    """What `make` makes of the name of the model in use, once for each model. For any number of threads."""

    def __init__(
        self,
        in_use: Callable[[str], str],
        configured: str,
        make: Callable[[str], T],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`in_use` says which model that is, and is told which one shall be the first of all."""
        self._in_use = in_use
        self._configured = configured
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._made: dict[str, T] = {}
        self._current: tuple[float, T] | None = None

    def __call__(self) -> T:
        """Asks at most once in 5 s; what `in_use` raises is raised."""
        current = self._current
        if current is None or self._clock() >= current[0]:
            # Several may ask at the same moment: nobody waits for a database that another cannot reach.
            made = self._of(self._in_use(self._configured))
            self._current = current = (self._clock() + NOTICED_SECONDS, made)
        return current[1]

    def _of(self, name: str) -> T:
        with self._lock:
            if name not in self._made:
                self._made[name] = self._make(name)
                if name != self._configured:
                    log.warning(
                        "another model is in use than is configured: `facteur memory migrate --to` changes it",
                        extra={"facts": {"in_use": name, "configured": self._configured}},
                    )
            return self._made[name]
