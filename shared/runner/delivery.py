"""Events in order, each until it is stored: numbered, spooled, sent, and sent again."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from shared.runner.client import Client
from shared.runner.errors import Away, Fenced, Refused, RunnerError, Unacceptable
from shared.runner.patience import Backoff, persist
from shared.runner.spool import Entry, Spool, entry_of

MAX_EVENT_BYTES = 512 * 1024
_MAX_BATCH = 100


class Delivery:
    """The events of one attempt on their way to the callback.

    Any thread may report; one at a time sends, and keeps nobody from putting events into the spool.
    With `news` set, a report only spools its event and sets it: whoever waits for that calls `send`.
    """

    def __init__(self, client: Client, url: str, spool: Spool, name: str) -> None:
        self._client = client
        self._url = url
        self._spool = spool
        self._name = name
        self._waiting = deque(spool.waiting())
        self._over: RunnerError | None = None
        self._lock = threading.RLock()  # of the spool and what waits
        self._sending = threading.RLock()
        self._backoff = Backoff()
        self._asked_to_wait = False
        self.not_before = 0.0
        self.reported_at = time.monotonic()
        self.news: threading.Event | None = None
        self.ended = any(entry.ends for entry in spool.entries())

    @property
    def delayed(self) -> bool:
        """Whether events wait that the callback did not take yet."""
        return bool(self._waiting)

    def report(self, event: Mapping[str, Any]) -> None:
        """Returns once the event is stored by the callback, or on disk while the callback is away."""
        self._add(event)
        news = self.news
        if news is None:
            self.send()
        else:
            news.set()

    def send(self) -> None:
        """Sends what waits, unless the callback is to be left alone for now."""
        with self._sending:
            began = time.monotonic()
            if began < self.not_before:
                return
            try:
                self._forward(None)
            except Away as away:
                # A callback that hangs must not take most of the agent's time.
                now = time.monotonic()
                self.not_before = now + max(self._backoff.pause(away), 2 * (now - began))
                self._asked_to_wait = away.retry_after is not None
            else:
                self._backoff.reset()

    def end(self, event: Mapping[str, Any], until: float, urgent: bool = False) -> None:
        """Reports the last event, then flushes."""
        with self._lock:
            # An interrupted call may have left an event on disk that only the disk knows of.
            known = {entry.sequence: entry for entry in [*self._spool.waiting(), *self._waiting]}
            self._waiting = deque(known[sequence] for sequence in sorted(known))
            self._add(event)
        self.flush(until, urgent)

    def flush(self, until: float, urgent: bool = False) -> None:
        """Waits until everything is stored; Away if it is not by `until` (monotonic seconds).

        A callback that asked for time gets it, unless the matter is urgent.
        """
        if self._asked_to_wait and not urgent:
            time.sleep(max(0.0, min(self.not_before, until) - time.monotonic()))
        if not self._sending.acquire(timeout=max(0.0, until - time.monotonic())):
            raise Away("another thread is still reporting")
        try:
            persist(lambda: self._forward(until), until)
        except Away as away:
            raise Away(
                f"the callback is away ({away}): {len(self._waiting)} events wait in the spool "
                "and are sent if this attempt is started again with the same spool"
            ) from None
        finally:
            self._sending.release()

    def _add(self, event: Mapping[str, Any]) -> None:
        with self._lock:
            if self._over is not None:
                raise type(self._over)(str(self._over))
            if self.ended:
                raise RunnerError("the task is completed or failed already: nothing can follow")
            self.reported_at = time.monotonic()
            sequence = self._spool.last + 1
            entry = entry_of({"eventId": f"{self._name}-{sequence}", "sequence": sequence, **event})
            if len(entry.line) > MAX_EVENT_BYTES:
                raise Unacceptable(f"an event holds at most {MAX_EVENT_BYTES} bytes: make it an artifact")
            try:
                self._spool.append(entry)
            except OSError as error:
                # A full disk is a common way to fail, and the failure must still be told.
                if not entry.ends:
                    raise RunnerError(f"the spool cannot be written ({error.strerror})") from None
            self.ended = entry.ends
            self._waiting.append(entry)

    def _forward(self, until: float | None) -> None:
        most, resent, refused = _MAX_BATCH, set[int](), None
        while self._waiting:
            batch = self._batch(most)
            try:
                answer = self._post(batch, until)
            except Unacceptable as error:
                if len(batch) > 1:
                    most = len(batch) // 2
                    continue
                refused = error
                self._leave_out(batch[0], error)
                continue
            self._confirm(batch)
            if not batch[-1].ends:
                self._send_again(answer.get("gaps"), resent)
        if refused is not None:
            raise refused

    def _post(self, batch: Sequence[Entry], until: float | None) -> dict[str, Any]:
        body = b"[" + b",".join(entry.line for entry in batch) + b"]"
        try:
            answer = self._client.json("POST", f"{self._url}/events", body, until)
        except (Fenced, Refused) as error:
            self._give_up(error)
            raise
        if not isinstance(answer.get("accepted"), int):
            raise Away("something other than the callback answers at CODEX_CALLBACK_URL")
        return answer

    def _batch(self, most: int) -> list[Entry]:
        """The next events, small enough to send; what ends the attempt goes alone, after all gaps are filled."""
        batch: list[Entry] = []
        size = 0
        with self._lock:
            waiting = list(itertools.islice(self._waiting, most + 1))
        for entry in waiting:
            size += len(entry.line) + 1
            if batch and (entry.ends or len(batch) == most or size > MAX_EVENT_BYTES):
                break
            batch.append(entry)
        return batch

    def _leave_out(self, entry: Entry, error: Unacceptable) -> None:
        """Puts a note in the place of an event that is refused for ever, so that the rest can follow."""
        kind = ("completed" if b'"eventType":"completed"' in entry.line else "failed") if entry.ends else "log"
        note = entry_of(
            {
                "eventId": f"{self._name}-{entry.sequence}",
                "sequence": entry.sequence,
                "eventType": kind,
                "content": f"an event was left out: {error}",
            }
        )
        if note == entry:
            self._give_up(error)
            raise error
        with self._lock:
            self._waiting[0] = note

    def _confirm(self, batch: Sequence[Entry]) -> None:
        sent = {entry.sequence for entry in batch}
        with self._lock:
            while self._waiting and self._waiting[0].sequence in sent:
                self._waiting.popleft()
            self._spool.confirm(batch[-1].sequence)

    def _give_up(self, error: RunnerError) -> None:
        with self._lock:
            self._over = error
            self._waiting.clear()

    def _send_again(self, gaps: object, resent: set[int]) -> None:
        """Queues what the callback misses, once a round: it may go on missing what never existed."""
        missing = [gap for gap in gaps if _is_gap(gap)] if isinstance(gaps, list) else []
        if not missing:
            return
        with self._lock:
            waiting = {entry.sequence for entry in self._waiting} | resent
            again = [
                entry
                for entry in self._spool.entries()
                if entry.sequence not in waiting and any(first <= entry.sequence <= last for first, last in missing)
            ]
            self._waiting.extendleft(reversed(again))
        resent.update(entry.sequence for entry in again)


def _is_gap(gap: object) -> bool:
    return isinstance(gap, list) and len(gap) == 2 and all(isinstance(edge, int) for edge in gap)
