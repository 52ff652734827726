"""Buttons of a card: what kinds there are, and what vouches for a click on one.

A button's `custom_id` is `f1:<kind>:<task>:<expiry>:<HMAC>`: whoever clicks proves only that facteur made the
button. Whether he may do what it says, and whether it can still be done, is looked at when he clicks.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import UUID

from shared.domain.errors import Rejected, Unauthenticated

LIFE_SECONDS = 7 * 86400
MAX_CUSTOM_ID = 100

_BUTTON = 2
_SECONDARY, _DANGER = 2, 4
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_SHAPE = re.compile(r"f1:([a-z]+(?:-[a-z]+)?):([0-9a-f]{32}):([0-9a-z]{1,8}):([A-Za-z0-9_-]{22})")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a button does. It may be clicked by those who may use `command`."""

    label: str
    style: int
    command: str


# One more kind of button is one more line here, and what follows the click in `interact.py`.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "cancel": Kind("Cancel", _DANGER, "cancel"),
        "timeline": Kind("Timeline", _SECONDARY, "status"),
        "memory": Kind("Memory", _SECONDARY, "memory"),
        # Each stage has its own: a task is done again by those who may ask for one of that stage.
        "retry-plan": Kind("Retry", _SECONDARY, "plan"),
        "retry-implement": Kind("Retry", _SECONDARY, "implement"),
        "retry-review": Kind("Retry", _SECONDARY, "review"),
    }
)


@dataclass(frozen=True, slots=True)
class Click:
    """A button that we made: its kind, and the task that it is about."""

    kind: str
    task: UUID


def custom_id(key: str, kind: str, task: UUID, expires: int) -> str:
    """The signed id of a button that works until `expires` (seconds since 1970), at most 100 characters."""
    if kind not in KINDS:
        raise ValueError("there is no such kind of button")
    stem = f"f1:{kind}:{task.hex}:{_base36(expires)}"
    return f"{stem}:{_mac(key, stem)}"


def button(key: str, kind: str, task: UUID, expires: int) -> dict[str, Any]:
    """A button as Discord has it."""
    found = KINDS[kind]
    return {
        "type": _BUTTON,
        "style": found.style,
        "label": found.label,
        "custom_id": custom_id(key, kind, task, expires),
    }


def clicked(keys: Sequence[str], given: str, now: float) -> Click:
    """What was clicked. Every key is tried.

    Unauthenticated, always in the same words, for one that none of them made; Rejected for one that is too old.
    """
    shape = _SHAPE.fullmatch(given) if len(given) <= MAX_CUSTOM_ID else None
    stem, mac = given.rpartition(":")[0], shape[4] if shape else ""
    known = False
    for key in keys:
        known |= hmac.compare_digest(_mac(key, stem).encode(), mac.encode())
    if not shape or not known or shape[1] not in KINDS:
        raise Unauthenticated("This button is not one of mine.")
    if int(shape[3], 36) < now:
        raise Rejected("This button is too old. `/codex status` shows the task as it is.")
    return Click(shape[1], UUID(hex=shape[2]))


def _mac(key: str, stem: str) -> str:
    digest = hmac.new(key.encode(), f"facteur button {stem}".encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
