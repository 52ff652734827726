"""Says what has become true: publishes right after the commit and clears the outbox."""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.errors import Rejected, Unavailable
from shared.events.event import Event


class Publisher(Protocol):
    """Hands one event to the broker; Unavailable if it did not take it in time, Rejected if it never will."""

    def publish(self, event: Event) -> None: ...


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
