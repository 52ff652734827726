"""The answers that an interaction can get at once."""

from collections.abc import Sequence
from typing import Any

from shared.domain.discord import fitted

_PONG, _MESSAGE, _DEFERRED, _CHOICES, _MODAL = 1, 4, 5, 8, 9
_EPHEMERAL = 64
MAX_CHOICES = 25
_MAX_CHOICE = 100
_MAX_TITLE = 45


def pong() -> dict[str, Any]:
    """The answer to Discord's own probe."""
    return {"type": _PONG}


def private(text: str) -> dict[str, Any]:
    """A message that only the user sees, and that mentions nobody."""
    return {
        "type": _MESSAGE,
        "data": {"content": fitted(text), "flags": _EPHEMERAL, "allowed_mentions": {"parse": []}},
    }


def deferred(ephemeral: bool) -> dict[str, Any]:
    """An acknowledgement: a message follows, for the user alone if `ephemeral`."""
    return {"type": _DEFERRED, **({"data": {"flags": _EPHEMERAL}} if ephemeral else {})}


def choices(found: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What an option may be completed to, each with its label and value; those that are too long are left out."""
    shown = [
        {"name": label[:_MAX_CHOICE], "value": value} for label, value in found if value and len(value) <= _MAX_CHOICE
    ]
    return {"type": _CHOICES, "data": {"choices": shown[:MAX_CHOICES]}}


def modal(custom_id: str, title: str, inputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A form of at most five inputs, one in a row."""
    rows = [{"type": 1, "components": [one]} for one in inputs]
    return {"type": _MODAL, "data": {"custom_id": custom_id, "title": title[:_MAX_TITLE], "components": rows}}
