"""The file of API tokens: a JSON list of callers. Functions read it anew whenever it has changed."""

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from shared.domain.token import Caller, parse_callers
from shared.setting_values import json_value
from shared.watched_file import WatchedFile, read_text

Entries = list[dict[str, Any]]


def read(path: Path) -> Entries:
    """The entries, checked; ValueError says what the file is or has that it should not."""
    entries: Entries = json_value(read_text(path))
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
        self._callers = WatchedFile(path, lambda file: parse_callers(read(file)), "the file of API tokens")

    def callers(self) -> Sequence[Caller]:
        """Unavailable while the file could never be read."""
        return self._callers()
