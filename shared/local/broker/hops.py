"""The hop limit of a broker: what ends a loop of replies (Knative's `knativebrokerttl`)."""

from collections.abc import Mapping
from dataclasses import replace

from shared.domain.errors import Rejected
from shared.events.event import Event

EXTENSION = "knativebrokerttl"
_START = 255


def entering(event: Event) -> Event:
    """The event with one hop less, or with all of them if it has none; Rejected if none is left."""
    said = event.extensions.get(EXTENSION, "")
    left = int(said) - 1 if said.isascii() and said.isdigit() and len(said) < 10 else _START
    if left <= 0:
        raise Rejected("the event has passed the broker too often: a trigger takes the events that it causes")
    return replace(event, extensions={**event.extensions, EXTENSION: str(left)})


def leaving(event: Event) -> Event:
    """The event as subscribers see it, without its hop limit."""
    return replace(event, extensions=_without(event.extensions))


def reply(event: Event, origin: Event) -> Event:
    """A reply to the stored event `origin`, with the hops that `origin` has left."""
    return replace(event, extensions={**event.extensions, EXTENSION: origin.extensions[EXTENSION]})


def _without(extensions: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in extensions.items() if name != EXTENSION}
