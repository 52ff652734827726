"""API tokens: callers known by the hash of a bearer token, or by their Kubernetes ServiceAccount."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.errors import Forbidden, Unauthenticated
from shared.domain.task_token import REFUSED

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_MAX_JWT = 8192
_SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:[a-z0-9-]{1,63}:[a-z0-9.-]{1,253}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls the API, and what that caller may do."""

    name: str
    tenant: str
    scopes: frozenset[str]
    token_sha256: bytes = b""  # of callers that are known by other means than a token of ours


def token_sha256(token: str) -> bytes:
    """What is kept of an API token."""
    return hashlib.sha256(token.encode()).digest()


def find_caller(callers: Sequence[Caller], token: str | None) -> Caller | None:
    """The caller that `token` belongs to. Every known hash is compared."""
    digest = token_sha256(token or "")
    found = [caller for caller in callers if hmac.compare_digest(caller.token_sha256, digest)]
    return found[0] if token and found else None


def permitted(caller: Caller | None, scope: str) -> Caller:
    """The caller; Unauthenticated if there is none, Forbidden if it lacks `scope`."""
    if caller is None:
        raise Unauthenticated(REFUSED)
    if scope not in caller.scopes:
        raise Forbidden(f"this token does not have the scope {scope}")
    return caller


def check_api_token(callers: Sequence[Caller], token: str | None, scope: str) -> Caller:
    """The caller that `token` belongs to; Unauthenticated for an unknown token, Forbidden without `scope`."""
    return permitted(find_caller(callers, token), scope)


def is_jwt(token: str | None) -> bool:
    """Whether the token has the shape of a signed JWT, as Kubernetes gives them to ServiceAccounts."""
    return token is not None and len(token) <= _MAX_JWT and _JWT.fullmatch(token) is not None


def parse_callers(entries: object) -> tuple[Caller, ...]:
    """Callers from `[{"caller", "sha256", "scopes", "tenant"?, "created"?}]`; ValueError says what is wrong."""
    if not isinstance(entries, list):
        raise ValueError("must be a JSON list of objects with caller, sha256 and scopes")
    callers = tuple(map(_token_caller, entries))
    if len({caller.token_sha256 for caller in callers}) < len(callers):
        raise ValueError("has the same sha256 twice")
    return callers


def parse_service_accounts(entries: object) -> dict[str, Caller]:
    """Callers by user name, from `{"system:serviceaccount:<namespace>:<name>": {"caller", "scopes", "tenant"?}}`.

    ValueError says what is wrong.
    """
    if not isinstance(entries, dict) or not entries:
        raise ValueError("must be a JSON object from ServiceAccounts to objects with caller and scopes")
    if not all(_SERVICE_ACCOUNT.fullmatch(name) for name in entries):
        raise ValueError("has a name that is not system:serviceaccount:<namespace>:<name>")
    return {name: _caller(entry, {"caller", "scopes", "tenant"}, b"") for name, entry in entries.items()}


def _token_caller(entry: object) -> Caller:
    sha256 = entry.get("sha256") if isinstance(entry, dict) else None
    created = entry.get("created", "2000-01-01T00:00:00Z") if isinstance(entry, dict) else None
    digest = bytes.fromhex(sha256) if isinstance(sha256, str) and _SHA256.fullmatch(sha256) else None
    caller = _caller(entry, {"caller", "sha256", "scopes", "tenant", "created"}, digest or b"")
    if digest is None:
        raise ValueError("has a caller whose sha256 is not 64 lower-case hex digits")
    if not isinstance(created, str) or not _TIME.fullmatch(created):
        raise ValueError("has a caller whose created is not a time like 2026-01-31T12:00:00Z")
    return caller


def _caller(entry: object, known: set[str], token_sha256: bytes) -> Caller:
    if not isinstance(entry, dict) or not entry.keys() <= known:
        raise ValueError(f"has an entry that is not an object of {', '.join(sorted(known))}")
    name, scopes, tenant = entry.get("caller"), entry.get("scopes"), entry.get("tenant", "default")
    if not isinstance(name, str) or not name:
        raise ValueError("has an entry without a caller name")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) and scope in SCOPES for scope in scopes):
        raise ValueError(f"has a caller whose scopes are not among {', '.join(sorted(SCOPES))}")
    if not isinstance(tenant, str) or not tenant:
        raise ValueError("has a caller with an empty tenant")
    return Caller(name, tenant, frozenset(scopes), token_sha256)


SCOPES = frozenset({"tasks:write", "tasks:read", "memory:read"})
# Who brings tasks through a door that asks for no token.
ANONYMOUS = Caller("kafka", "default", frozenset({"tasks:write"}))
