"""What a broker adds to an event that it could not deliver."""

from dataclasses import replace
from types import MappingProxyType

from shared.events.event import Event

DESTINATION = "knativeerrordest"
CODE = "knativeerrorcode"
DATA = "knativeerrordata"
_ADDED = "knativeerror"


def original(event: Event) -> Event:
    """The event as it was before it became a dead letter."""
    kept = {name: value for name, value in event.extensions.items() if not name.startswith(_ADDED)}
    return replace(event, extensions=MappingProxyType(kept))
