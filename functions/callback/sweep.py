"""The third use case: what was promised and never kept is taken away."""

from collections.abc import Callable, Sequence
from typing import Protocol

from shared.domain.artifact import Upload
from shared.domain.errors import Unavailable

# Links live for minutes; a day leaves time to look at what went wrong.
AGE_SECONDS = 86_400
MOST = 100


class Leftovers(Protocol):
    """Uploads whose links are dead, one at a time."""

    def collect(self, age_seconds: float, clear: Callable[[Upload, bool], None]) -> bool: ...


class Store(Protocol):
    """Where the bytes are."""

    def delete(self, keys: Sequence[str]) -> None: ...

    def tidy(self, age_seconds: float) -> None: ...


class Sweep:
    """Clears up behind uploads. What cannot be cleared now is left for the next time."""

    def __init__(self, leftovers: Leftovers, store: Store) -> None:
        self._leftovers = leftovers
        self._store = store

    def __call__(self, age_seconds: float = AGE_SECONDS) -> None:
        try:
            self._store.tidy(age_seconds)
            for _ in range(MOST):
                if not self._leftovers.collect(age_seconds, self._clear):
                    return
        except Unavailable:
            return

    def _clear(self, upload: Upload, kept: bool) -> None:
        self._store.delete(upload.part_keys if kept else (upload.key, *upload.part_keys))
