"""Task tokens: what a container proves with that it is one attempt of one task, and what it may do.

A token is an HMAC of task and attempt, so every function that holds the key can make and check it, nothing
needs to be stored in clear, and a replayed submission gets the same bytes. Whoever holds a token can narrow
it to some scopes without asking anybody (as with macaroons, Birgisson et al., 2014): the narrowed one is an
HMAC under the whole one.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from enum import StrEnum
from uuid import UUID

from shared.domain.errors import Forbidden, Unauthenticated

# How long the token of a run that is over still works: reports that were delayed get a clear answer.
GRACE_SECONDS = 3600
REFUSED = "the bearer token is missing or not valid here"

_TOKEN = re.compile(r"fct_([0-9]{1,6})_(?:([a-z]+(?:\.[a-z]+){0,3})_)?([A-Za-z0-9_-]{43})")


class Scope(StrEnum):
    """What a task token may be used for. One that is not narrowed has every scope."""

    EVENTS = "events"
    ARTIFACTS = "artifacts"
    MEMORY = "memory"
    TASK = "task"


def mint_task_token(key: str, task_id: UUID, attempt: int) -> str:
    """The token of one attempt of one task, for everything it may do."""
    return f"fct_{attempt}_{_mac(key, f'facteur task {task_id} {attempt}')}"


def narrow(token: str, scopes: Iterable[Scope]) -> str:
    """A token that `token` vouches for, good for these scopes alone."""
    return _narrowed(token, ".".join(sorted(scopes)))


def check_task_token(keys: Sequence[str], task_id: UUID, token: str | None, scope: Scope) -> int:
    """The attempt that `token` belongs to.

    Every key is tried, however the first compares. Unauthenticated, always in the same words, for a token
    that none of them made for this task; Forbidden for a narrowed one that lacks `scope`.
    """
    shape = _TOKEN.fullmatch(token or "")
    attempt, names = (int(shape[1]), shape[2] or "") if shape else (0, "")
    known = False
    for key in keys:
        whole = mint_task_token(key, task_id, attempt)
        expected = _narrowed(whole, names) if names else whole
        known |= hmac.compare_digest(expected.encode(), (token or "").encode())
    if not known:
        raise Unauthenticated(REFUSED)
    if names and scope not in names.split("."):
        raise Forbidden(f"this token was narrowed to other things than {scope}")
    return attempt


def is_task_token(token: str | None) -> bool:
    """Whether the token has the shape of a task token (and so is never an API token)."""
    return _TOKEN.fullmatch(token or "") is not None


def _narrowed(token: str, names: str) -> str:
    prefix = token[: token.index("_", len("fct_"))]
    return f"{prefix}_{names}_{_mac(token, f'facteur scopes {names}')}"


def _mac(key: str, text: str) -> str:
    digest = hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(digest).decode().rstrip("=")
