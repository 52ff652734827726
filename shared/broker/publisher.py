"""Hands events to the broker over HTTP."""

import urllib3

from shared.domain.errors import Rejected, Unavailable
from shared.events import codec
from shared.events.event import Event


class HttpPublisher:
    """Posts events to the broker's ingress (`K_SINK`) in binary mode.

    One attempt with a short timeout: Knative's in-memory broker answers only after delivery, the
    outbox is the guarantee, and consumers expect an event that timed out to have been delivered.
    """

    def __init__(self, sink: str, timeout: float = 2.0) -> None:
        self._sink = sink
        self._pool = urllib3.PoolManager(maxsize=8, timeout=urllib3.Timeout(timeout), retries=False)

    def publish(self, event: Event) -> None:
        """Hands over one event; Unavailable if the broker is away, Rejected if it refuses this event for ever."""
        headers, body = codec.encode(event)
        if traceparent := event.extensions.get("traceparent"):
            headers["traceparent"] = traceparent  # brokers go by the header, consumers by the extension
        try:
            answer = self._pool.request("POST", self._sink, body=body, headers=headers)
        except urllib3.exceptions.HTTPError:
            raise Unavailable("the broker did not answer") from None
        if answer.status in (400, 413, 422):
            raise Rejected(f"the broker refused an event with {answer.status}")
        if not 200 <= answer.status < 300:
            raise Unavailable(f"the broker answered {answer.status}")
