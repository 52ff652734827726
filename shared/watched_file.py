"""A file that may change at any time: read anew whenever it has, and what was good last stays in force."""

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

from shared.domain.errors import Unavailable

log = logging.getLogger(__name__)

MAX_BYTES = 1024 * 1024
_NEVER = object()

T = TypeVar("T")


def read_text(path: Path) -> str:
    """The whole file; ValueError says what it is or has that it should not."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError("is not a file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {(error.strerror or 'it is no file').lower()}") from None
    if len(raw) > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None


class WatchedFile(Generic[T]):
    """What `parse` makes of a file. `what` names it in logs and errors. Safe for threads."""

    def __init__(self, path: Path, parse: Callable[[Path], T], what: str) -> None:
        """`parse` raises ValueError with a sentence that follows "it"."""
        self._path = path
        self._parse = parse
        self._what = what
        self._lock = Lock()
        self._seen: object = _NEVER
        self._content: T | None = None

    def __call__(self) -> T:
        """Unavailable while the file could never be read."""
        with self._lock:
            # Asked before reading: a change in between is seen the next time.
            state = self._state()
            if state != self._seen:
                self._read()
                self._seen = state
            if self._content is None:
                raise Unavailable(f"{self._what} cannot be used for now", retry_after=5)
            return self._content

    def _state(self) -> tuple[int, ...] | str | None:
        try:
            found = self._path.stat()
        except OSError as error:
            return error.strerror
        # The last sees what the first three do not: other permissions, and a copy that keeps the time.
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns

    def _read(self) -> None:
        try:
            self._content = self._parse(self._path)
        except ValueError as error:
            log.warning("%s is left unread", self._what, extra={"facts": {"because": f"it {error}"}})
        else:
            log.info("%s was read", self._what)
