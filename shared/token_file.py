"""The file of API tokens: a JSON list of callers. Functions read it anew whenever it has changed."""

import contextlib
import fcntl
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from shared.domain.errors import Unavailable
from shared.domain.token import Caller, parse_callers
from shared.settings import json_value

log = logging.getLogger(__name__)

_MAX_BYTES = 1024 * 1024
_NEVER = object()

Entries = list[dict[str, Any]]


def read(path: Path) -> Entries:
    """The entries, checked; ValueError says what the file is or has that it should not."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError("is not a file")
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {(error.strerror or 'it is no file').lower()}") from None
    if len(raw) > _MAX_BYTES:
        raise ValueError(f"is larger than {_MAX_BYTES} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    entries: Entries = json_value(text)
    parse_callers(entries)
    return entries


@contextlib.contextmanager
def changed(path: Path) -> Iterator[Entries]:
    """The entries, to be changed in place; the file is replaced when the block ends without an error.

    One writer at a time, by a lock file beside it. A file that is not there yet has no entries.
    ValueError as in `read`; OSError where nothing can be written.
    """
    path = path.resolve()
    with path.with_name(path.name + ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entries = read(path) if path.exists() else []
        yield entries
        parse_callers(entries)
        _replace(path, json.dumps(entries, indent=1) + "\n")


def _replace(path: Path, text: str) -> None:
    """For the owner only, and whole or not at all."""
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


class TokenFile:
    """The callers of a file that may change at any time; what was good last stays in force while it is not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._seen: object = _NEVER
        self._callers: tuple[Caller, ...] | None = None

    def callers(self) -> Sequence[Caller]:
        """Unavailable while the file could never be read."""
        with self._lock:
            # Asked before reading: a change in between is seen the next time.
            state = self._state()
            if state != self._seen:
                self._seen = state
                self._read()
            if self._callers is None:
                raise Unavailable("the API tokens cannot be read for now", retry_after=5)
            return self._callers

    def _state(self) -> tuple[int, ...] | str | None:
        try:
            found = self._path.stat()
        except OSError as error:
            return error.strerror
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> None:
        try:
            self._callers = parse_callers(read(self._path))
        except ValueError as error:
            log.warning("the file of API tokens is left unread", extra={"facts": {"because": f"it {error}"}})
        else:
            log.info("the file of API tokens was read", extra={"facts": {"tokens": len(self._callers)}})
