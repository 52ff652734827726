"""Server-sent events: what has happened and what happens, until it is over."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flask import Response

from shared.domain.errors import Unavailable
from shared.web import stopping
from shared.web.edge import no_content

log = logging.getLogger(__name__)

# A stream occupies one of the server's threads; the others are for everybody else.
MOST = 8
RETRY_MILLISECONDS = 2000
PAUSE = 1.0
HEARTBEAT = 15.0
# Knative ends a request after 300 seconds, and not as nicely.
LONGEST = 240.0
_BUSY = "as many tasks are followed here as this process can: try again later, or ask without text/event-stream"


@dataclass(frozen=True, slots=True)
class Message:
    """One event. `data` is a single line; `id` is where a client goes on after it."""

    id: str
    event: str
    data: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Some messages; `full` if there are more at once, `over` if there will never be more."""

    messages: Sequence[Message]
    full: bool = False
    over: bool = False


Poll = Callable[[str | None], Batch]


class Streams:
    """The open streams of this process: at most `MOST`."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(MOST)

    def answer(self, poll: Poll, after: str | None) -> Response:
        """A stream of what `poll` finds after an id: at once, then about once a second.

        204 if there is nothing more and never will be, Unavailable if too many are open. What the
        first poll raises is raised here.
        """
        if not self._free.acquire(blocking=False):
            raise Unavailable(_BUSY, retry_after=10)
        try:
            first = poll(after)
            if first.over and not first.messages:
                response = no_content()
            else:
                response = Response(_pieces(poll, after, first), content_type="text/event-stream")
            response.headers.update({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        except BaseException:
            self._free.release()
            raise
        response.call_on_close(self._free.release)
        return response


def _pieces(poll: Poll, after: str | None, batch: Batch) -> Iterator[bytes]:
    began = spoke = time.monotonic()
    yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
    while True:
        if batch.messages:
            yield b"".join(map(_encoded, batch.messages))
            after, spoke = batch.messages[-1].id, time.monotonic()
        if batch.over or time.monotonic() - began > LONGEST or stopping.wait(0 if batch.full else PAUSE):
            return
        if time.monotonic() - spoke >= HEARTBEAT:  # writing is how one learns that the client has gone
            yield b": still here\n\n"
            spoke = time.monotonic()
        batch = _next(poll, after)


def _next(poll: Poll, after: str | None) -> Batch:
    try:
        return poll(after)
    except Unavailable:
        # A browser does not come back after a 503, so the stream waits with it.
        log.info("a stream waits: what it needs is away")
        return Batch(())


def _encoded(message: Message) -> bytes:
    event = " ".join(message.event.split())
    return f"id: {message.id}\nevent: {event}\ndata: {message.data}\n\n".encode()
