"""Task tokens, narrowed to what somebody else may do with them, without asking the callback."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

# What an agent may do by itself: ask the memory, and look at its own task.
READING = ("memory", "task")


def narrowed(token: str, scopes: Iterable[str]) -> str:
    """A token that is good for `scopes` alone: an HMAC of their names under the whole token."""
    names = ".".join(sorted(scopes))
    kind, attempt, _ = token.split("_", 2)
    digest = hmac.new(token.encode("ascii"), f"facteur scopes {names}".encode(), hashlib.sha256).digest()
    return f"{kind}_{attempt}_{names}_{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
