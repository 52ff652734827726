"""Reads what the agent writes: bytes from a pipe as lines of text, none longer than there is memory for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

# A command's output of a megabyte is one JSON line, in which a byte may take six.
MAX_LINE = 8 * 1024 * 1024
_PIECE = 64 * 1024


class Lines:
    """Cuts a stream of bytes into lines. Of a line that is too long the start is kept, with a note."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._kept = 0
        self._size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that this piece completes, without their ends."""
        first, *others = piece.split(b"\n")
        self._keep(first)
        if not others:
            return []
        *whole, last = others
        lines = [self._line(), *whole]
        self._keep(last)
        return lines

    def rest(self) -> list[bytes]:
        """What stands behind the last line's end."""
        return [self._line()] if self._size else []

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        room = self._limit - self._kept
        if room > 0 and part:
            self._parts.append(part[:room])
            self._kept += len(part[:room])

    def _line(self) -> bytes:
        line = b"".join(self._parts)
        if self._size > self._limit:
            line += b"... (cut; %d bytes in all)" % self._size
        self._parts, self._kept, self._size = [], 0, 0
        return line


def pump(
    source: int,
    target: int,
    mask: Callable[[bytes], bytes],
    take: Callable[[Sequence[str]], None],
    limit: int = MAX_LINE,
) -> None:
    """Reads the pipe `source` to its end; hands lines on to `take`, and to the file `target`, both masked."""
    lines = Lines(limit)
    passing = True
    while True:
        piece = os.read(source, _PIECE)
        whole = lines.feed(piece) if piece else lines.rest()
        if whole:
            content = mask(b"\n".join(whole))
            passing = passing and _pass_on(target, content + b"\n")
            take(content.decode("utf-8", "replace").split("\n"))
        if not piece:
            return


def _pass_on(target: int, content: bytes) -> bool:
    """Whether somebody still takes it."""
    rest = memoryview(content)
    try:
        while rest:
            rest = rest[os.write(target, rest) :]
    except OSError:
        return False
    return True
