"""Says what has become true: publishes right after the commit and clears the outbox."""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing.util import Finalize
from typing import Protocol

from shared.domain.errors import FacteurError, Rejected, Unavailable
from shared.events.event import Event

log = logging.getLogger(__name__)

# What comes within so short a time goes out together.
_GATHER_SECONDS = 0.003
# What a process that is told to stop still says; the rest is relayed.
_LAST_SECONDS = 1.0


class Publisher(Protocol):
    """Hands one event to the broker; Unavailable if it did not take it in time, Rejected if it never will."""

    def publish(self, event: Event) -> None: ...


class ManyPublisher(Protocol):
    """Hands over many events at once; for each of them None, or what went wrong."""

    def publish_all(self, events: Sequence[Event]) -> Sequence[FacteurError | None]: ...


class Outbox(Protocol):
    """Events committed with the facts they announce, until the broker has them."""

    def remove(self, ids: Sequence[str]) -> None: ...


class Announcer:
    """Publishes events that are in the outbox already.

    A broker that is away changes nothing for the caller: the event stays in the outbox and the
    dispatcher relays it on its tick.
    """

    def __init__(self, publisher: Publisher, outbox: Outbox) -> None:
        self._publisher = publisher
        self._outbox = outbox

    def __call__(self, *events: Event) -> None:
        try:
            for event in events:
                self._publisher.publish(event)
            self._outbox.remove([event.id for event in events])
        except (Unavailable, Rejected):
            return


class BackgroundAnnouncer:
    """Does the same behind the caller's back, many events at once: nobody waits for the broker.

    Its thread starts with the first event. What it does not manage, because the broker is away, too
    slow for the queue, or the process ends, is in the outbox still.
    """

    def __init__(self, publisher: ManyPublisher, outbox: Outbox, at_once: int = 64, capacity: int = 4096) -> None:
        self._publisher = publisher
        self._outbox = outbox
        self._at_once = at_once
        self._capacity = capacity
        self._queue: deque[Event] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy = False

    def __call__(self, *events: Event) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)
                self._thread.start()
                # The server's worker is a child of multiprocessing, which runs its own finalizers and not atexit's.
                Finalize(None, self.drain, (_LAST_SECONDS,), exitpriority=2)
            if len(self._queue) < self._capacity:
                self._queue.extend(events)
                self._changed.notify()

    def drain(self, seconds: float) -> None:
        """Waits until everything was tried, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queue and not self._busy, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._queue)
                self._busy = True
            time.sleep(_GATHER_SECONDS)
            events = [self._queue.popleft() for _ in range(min(len(self._queue), self._at_once))]
            try:
                errors = self._publisher.publish_all(events)
                taken = [event.id for event, error in zip(events, errors, strict=True) if error is None]
                if taken:
                    self._outbox.remove(taken)
            except Exception:  # the outbox has them; the thread must go on
                log.exception("events stay in the outbox")
