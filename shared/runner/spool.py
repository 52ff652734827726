"""The events of one attempt on disk: written before they are sent, kept until the container is gone."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.runner.errors import RunnerError

_ENDS = ("completed", "failed")


@dataclass(frozen=True)
class Entry:
    """One event: its place in the attempt, whether it ends it, and the JSON that is sent."""

    sequence: int
    ends: bool
    line: bytes


def entry_of(event: Mapping[str, Any]) -> Entry:
    """The event as it is spooled and sent: one line of JSON."""
    line = json.dumps(event, allow_nan=False, separators=(",", ":")).encode()
    return Entry(event["sequence"], event["eventType"] in _ENDS, line)


class Spool:
    """An append-only file with one JSON object a line: events, and between them what was confirmed.

    Held by one process at a time. `last` is the highest number given out, `confirmed` the highest
    that the callback has stored.
    """

    def __init__(self, path: Path) -> None:
        self.last = 0
        self.confirmed = 0
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RunnerError(f"the spool cannot be written ({error.strerror}): check CODEX_SPOOL_DIR") from None
        self._lock()
        self._recover()
        _sync_folder(path.parent)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise RunnerError("another process already reports for this attempt; end it first") from None

    def _recover(self) -> None:
        # A line without its end was being written when the process died: nobody was told that it is safe.
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._file, whole)
        for record in self._records():
            self.last = max(self.last, record.get("sequence", 0))
            self.confirmed = max(self.confirmed, record.get("confirmed", 0))

    def append(self, entry: Entry) -> None:
        """Returns once the event is on disk; OSError if it cannot be.

        The number is spent first: whatever interrupts this, no other event gets the same number.
        """
        self.last = entry.sequence
        try:
            self._write(entry.line, durable=True)
        except OSError:
            self.last -= 1
            raise

    def confirm(self, sequence: int) -> None:
        """Notes that the callback has everything up to `sequence`; if the note is lost, it is sent again."""
        if sequence > self.confirmed:
            self.confirmed = sequence
            with contextlib.suppress(OSError):
                self._write(b'{"confirmed":%d}' % sequence, durable=False)

    def entries(self) -> Iterator[Entry]:
        """Every event of the attempt, in order."""
        for record in self._records():
            if "eventId" in record:
                yield entry_of(record)

    def waiting(self) -> list[Entry]:
        """The events that the callback has not confirmed, in order."""
        return [entry for entry in self.entries() if entry.sequence > self.confirmed]

    def close(self) -> None:
        os.close(self._file)
        self._file = -1  # a thread that comes late fails, whatever the number stands for by then

    def _write(self, line: bytes, durable: bool) -> None:
        size = os.fstat(self._file).st_size
        try:
            rest = memoryview(line + b"\n")
            while rest:
                rest = rest[os.write(self._file, rest) :]
            if durable:
                os.fsync(self._file)
        except BaseException:
            os.ftruncate(self._file, size)
            raise

    def _records(self) -> Iterator[dict[str, Any]]:
        for line in self._path.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict):
                    yield record


def open_spool(folder: Path | None, name: str) -> Spool:
    """The spool of one attempt in `folder`; without one beside the working folder, else in the temporary one.

    The place is the same after a restart of the process, which is what makes it find its events again.
    """
    if folder is None:
        beside = Path.cwd().parent / ".codex-spool"
        folder = beside if _usable(beside) else Path(tempfile.gettempdir()) / f"codex-spool-{os.getuid()}"
        if _usable(folder) and folder.stat().st_uid != os.getuid():
            raise RunnerError("the spool folder belongs to someone else: set CODEX_SPOOL_DIR")
    if not _usable(folder):
        raise RunnerError("CODEX_SPOOL_DIR must name a folder that this process can write")
    return Spool(folder / f"{name}.ndjson")


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
