"""What vouches for a command that was parked: only what this function itself put away is done when it comes back."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace

from shared.domain.errors import Unauthenticated
from shared.events.event import Event

_MAC = "facteurmac"


def sealed(key: str, event: Event) -> Event:
    """The event with an HMAC of its data."""
    return replace(event, extensions={**event.extensions, _MAC: _mac(key, event)})


def require_sealed(keys: Sequence[str], event: Event) -> None:
    """Unauthenticated unless one of the keys sealed this data. Every key is tried."""
    known = False
    for key in keys:
        known |= hmac.compare_digest(_mac(key, event).encode(), event.extensions.get(_MAC, "").encode())
    if not known:
        raise Unauthenticated("this command was not parked here")


def _mac(key: str, event: Event) -> str:
    return hmac.new(key.encode(), b"facteur parked command " + (event.data or b""), hashlib.sha256).hexdigest()
