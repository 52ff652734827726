"""Hands events to the broker over HTTP."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import pycurl

from shared.domain.errors import FacteurError, Rejected, Unavailable
from shared.events import codec
from shared.events.event import Event

_REFUSALS = (400, 413, 422, 431)
# Where a SinkBinding puts the token for a broker that asks who sends.
_OIDC_TOKEN = Path("/oidc/token")


class HttpPublisher:
    """Posts events to the broker's ingress (`K_SINK`) in binary mode, over connections that are kept.

    One attempt with a short timeout: Knative's in-memory broker answers only after delivery, the
    outbox is the guarantee, and consumers expect an event that timed out to have been delivered.
    The file `token` holds what is shown to the broker, if there is one; it changes at any time.
    """

    def __init__(self, sink: str, timeout: float = 2.0, token: Path = _OIDC_TOKEN) -> None:
        self._sink = sink
        self._timeout = timeout
        self._token = token
        self._idle: deque[_Lines] = deque()

    def publish(self, event: Event) -> None:
        """Hands over one event; Unavailable if the broker is away, Rejected if it refuses this event for ever."""
        (error,) = self.publish_all([event])
        if error:
            raise error

    def publish_all(self, events: Sequence[Event]) -> list[FacteurError | None]:
        """Hands over many events at once; for each of them None, or what `publish` would raise."""
        try:
            lines = self._idle.pop()
        except IndexError:
            lines = _Lines(self._sink, self._timeout)
        try:
            return lines.post(events, _authorization(self._token))
        finally:
            self._idle.append(lines)


class _Lines:
    """Parallel connections of one thread at a time; libcurl waits for all of them without holding the interpreter."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._multi = pycurl.CurlMulti()
        self._handles: list[pycurl.Curl] = []

    def post(self, events: Sequence[Event], more: Sequence[str]) -> list[FacteurError | None]:
        """`more` are headers beside those of the events."""
        while len(self._handles) < len(events):
            self._handles.append(self._handle())
        used = self._handles[: len(events)]
        for handle, event in zip(used, events, strict=True):
            headers, body = codec.encode(event)
            if traceparent := event.extensions.get("traceparent"):
                headers["traceparent"] = traceparent  # brokers go by the header, consumers by the extension
            handle.setopt(
                pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in headers.items()] + ["Expect:", *more]
            )
            handle.setopt(pycurl.POSTFIELDS, body)
            self._multi.add_handle(handle)
        failed = self._perform(len(events))
        return [_error(0 if handle in failed else handle.getinfo(pycurl.RESPONSE_CODE)) for handle in used]

    def _perform(self, left: int) -> set[pycurl.Curl]:
        """Runs until every transfer has ended; those that got no answer."""
        failed: set[pycurl.Curl] = set()
        while left:
            self._multi.perform()
            queued, done, broken = self._multi.info_read()
            for handle in [*done, *(handle for handle, _, _ in broken)]:
                self._multi.remove_handle(handle)
            failed |= {handle for handle, _, _ in broken}
            left -= len(done) + len(broken)
            if left and not queued and not done and not broken:
                self._multi.select(self._timeout)
        return failed

    def _handle(self) -> pycurl.Curl:
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, self._url)
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.NOSIGNAL, 1)  # timeouts without SIGALRM: this is not the main thread
        handle.setopt(pycurl.PROXY, "")
        handle.setopt(pycurl.TIMEOUT_MS, round(self._timeout * 1000))
        handle.setopt(pycurl.WRITEFUNCTION, len)  # the body of the answer says nothing
        return handle


def _authorization(file: Path) -> list[str]:
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return []
    return [f"Authorization: Bearer {token}"] if token and token.isprintable() else []


def _error(status: int) -> FacteurError | None:
    if status == 0:
        return Unavailable("the broker did not answer")
    if status in _REFUSALS:
        return Rejected(f"the broker refused an event with {status}")
    if not 200 <= status < 300:
        return Unavailable(f"the broker answered {status}")
    return None
