"""What the agent says, as reports: few, in order, and bounded."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from shared.runner.errors import Fenced, Refused, RunnerError

MAX_EVENT = 16 * 1024
# So much of what an agent says is reported; what drowns everything else helps nobody.
MAX_TOTAL = 32 * 1024 * 1024
_PATIENCE = 1.0
_MAX_TAIL = 4000

log = logging.getLogger("codex.runner")


class Transcript:
    """Joins lines of one stream to log events of at most 16 Ki characters, and keeps events behind them.

    May be used by several threads. A report that fails is noted, and the work goes on.
    """

    def __init__(self, say: Callable[[str, Any], None], most: int = MAX_TOTAL) -> None:
        self._say = say
        self._room = most
        self._dropped = 0
        self._closed = False
        self._lock = threading.RLock()
        self._held: dict[str, _Held] = {}
        self._tails: dict[str, str] = {}

    def lines(self, stream: str, lines: Sequence[str]) -> None:
        """Takes lines of text; they are told when they fill an event, or after a second."""
        with self._lock:
            held = self._held.setdefault(stream, _Held())
            for line in lines:
                for piece in _pieces(line + "\n"):
                    if held.size + len(piece) > MAX_EVENT:
                        self._flush(stream)
                    held.add(piece)
            tail = "\n".join([self._tails.get(stream, ""), *lines[-_MAX_TAIL:]])
            self._tails[stream] = tail[-_MAX_TAIL:]

    def event(self, kind: str, content: Any, size: int) -> None:
        """Tells an event of about `size` characters, after the lines before it."""
        with self._lock:
            self.flush()
            self._tell(kind, content, size)

    def tick(self) -> None:
        """Tells the lines that have waited long enough."""
        with self._lock:
            now = time.monotonic()
            for stream, held in self._held.items():
                if held.parts and now >= held.since + _PATIENCE:
                    self._flush(stream)

    def flush(self) -> None:
        with self._lock:
            for stream in self._held:
                self._flush(stream)

    def close(self) -> None:
        """Tells everything that is left, and what was dropped."""
        with self._lock:
            self.flush()
            if self._dropped:
                self._room = MAX_EVENT
                self._tell("log", f"{self._dropped} characters of the agent's output were dropped: it says too much", 0)
            self._closed = True

    def tail(self, stream: str) -> str:
        """The last lines of a stream."""
        with self._lock:
            return self._tails.get(stream, "").strip("\n")

    def _flush(self, stream: str) -> None:
        held = self._held[stream]
        if held.parts:
            text, size = "".join(held.parts), held.size
            held.clear()
            self._tell("log", {"stream": stream, "text": text}, size)

    def _tell(self, kind: str, content: Any, size: int) -> None:
        if self._closed:
            return
        if size > self._room:
            self._room = 0
            self._dropped += size
            return
        self._room -= size
        try:
            self._say(kind, content)
        except (Fenced, Refused):
            self._room = 0  # whoever waits for the agent is told by other means
        except RunnerError as error:
            log.warning("a report was lost: %s", error)


class _Held:
    """Lines that wait to be told together."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.size = 0
        self.since = 0.0

    def add(self, piece: str) -> None:
        if not self.parts:
            self.since = time.monotonic()
        self.parts.append(piece)
        self.size += len(piece)

    def clear(self) -> None:
        self.parts, self.size = [], 0


def _pieces(line: str) -> list[str]:
    if len(line) <= MAX_EVENT:
        return [line]
    return [line[start : start + MAX_EVENT] for start in range(0, len(line), MAX_EVENT)]
