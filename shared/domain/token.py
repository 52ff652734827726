"""Bearer tokens: API tokens (known by their hash) and task tokens (bound to one attempt).

A task token is an HMAC of the task and the attempt, so every function that holds the key can make
and check it, nothing needs to be stored in clear, and a replayed submission gets the same bytes.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.domain.errors import Forbidden, Unauthenticated

_TASK_TOKEN = re.compile(r"fct_([0-9]{1,6})_[A-Za-z0-9_-]{43}")
_REFUSED = "the bearer token is missing or not valid here"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls the API, and what that caller may do."""

    name: str
    tenant: str
    scopes: frozenset[str]
    token_sha256: bytes


def mint_task_token(key: str, task_id: UUID, attempt: int) -> str:
    """The token of one attempt of one task."""
    digest = hmac.new(key.encode(), f"facteur task {task_id} {attempt}".encode(), hashlib.sha256).digest()
    return f"fct_{attempt}_{urlsafe_b64encode(digest).decode().rstrip('=')}"


def check_task_token(key: str, task_id: UUID, token: str | None) -> int:
    """The attempt that `token` belongs to; Unauthenticated, always in the same words, otherwise."""
    shape = _TASK_TOKEN.fullmatch(token or "")
    attempt = int(shape.group(1)) if shape else 0
    if not hmac.compare_digest(mint_task_token(key, task_id, attempt).encode(), (token or "").encode()):
        raise Unauthenticated(_REFUSED)
    return attempt


def is_task_token(token: str | None) -> bool:
    """Whether the token has the shape of a task token (and so is never an API token)."""
    return _TASK_TOKEN.fullmatch(token or "") is not None


def check_api_token(callers: Sequence[Caller], token: str | None, scope: str) -> Caller:
    """The caller that `token` belongs to; Forbidden if it lacks `scope`. Every known hash is compared."""
    digest = hashlib.sha256((token or "").encode()).digest()
    found = [caller for caller in callers if hmac.compare_digest(caller.token_sha256, digest)]
    if not token or not found:
        raise Unauthenticated(_REFUSED)
    if scope not in found[0].scopes:
        raise Forbidden(f"this token does not have the scope {scope}")
    return found[0]


def parse_callers(entries: object) -> tuple[Caller, ...]:
    """Callers from `[{"caller", "sha256", "scopes", "tenant"?}]`; ValueError says what is wrong."""
    if not isinstance(entries, list):
        raise ValueError("must be a JSON list of objects with caller, sha256 and scopes")
    return tuple(_caller(entry) for entry in entries)


def _caller(entry: object) -> Caller:
    if not isinstance(entry, dict) or not entry.keys() <= {"caller", "sha256", "scopes", "tenant"}:
        raise ValueError("has an entry that is not an object of caller, sha256, scopes and tenant")
    name, scopes, sha256 = entry.get("caller"), entry.get("scopes"), entry.get("sha256")
    if not isinstance(name, str) or not name:
        raise ValueError("has an entry without a caller name")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) and scope in SCOPES for scope in scopes):
        raise ValueError(f"has a caller whose scopes are not among {', '.join(sorted(SCOPES))}")
    if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError("has a caller whose sha256 is not 64 lower-case hex digits")
    tenant = entry.get("tenant", "default")
    if not isinstance(tenant, str) or not tenant:
        raise ValueError("has a caller with an empty tenant")
    return Caller(name, tenant, frozenset(scopes), bytes.fromhex(sha256))


SCOPES = frozenset({"tasks:write", "tasks:read", "memory:read"})
