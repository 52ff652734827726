"""What the API server refuses, as errors of the domain. Its own messages are logged, and never passed on."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Protocol

from shared.domain.errors import Rejected, Unavailable
from shared.domain.redaction import redact

log = logging.getLogger(__name__)

# Reasons are words (`AlreadyExists`, `Bad Gateway`); anything else may hold what the server was sent.
_REASON = re.compile(r"[A-Za-z][A-Za-z ]{0,59}")


class AlreadyThere(Exception):
    """An object of that name exists."""


class Refused(Exception):
    """The server said no: status, reason, message and fields of its answer, and when to ask again, in seconds."""

    def __init__(
        self, status: int, reason: str, message: str, retry_after: float | None, fields: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.fields = fields
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        # A server that has just started does not know all rights and kinds yet.
        self.certain = True

    @property
    def passes(self) -> bool:
        """Whether the same call may well succeed a moment later."""
        full = self.status == 403 and "exceeded quota" in str(self)
        # 0: TLS failed before there was an answer.
        return full or self.status in (0, 401, 408, 429) or self.status >= 500 or self.reason == "Conflict"

    @property
    def forbidden(self) -> bool:
        """Whether a right is missing."""
        return self.status == 403 and " cannot " in str(self)

    @property
    def unserved(self) -> bool:
        """Whether the kind itself was not found, and not an object of it."""
        return self.status == 404 and self.reason != "NotFound"


class Changed(Unavailable):
    """The object is not what it was when it was looked at: look again."""


class UnknownKind(Exception):
    """No such kind, or several; the message says which."""


class Answer(Protocol):
    """An exception of the client for an answer that is no success."""

    status: int | None
    reason: str | None
    body: Any
    headers: Mapping[str, str] | None


def of(error: Answer) -> Refused:
    """What an answer says, as far as it is a `Status` of Kubernetes."""
    try:
        said = json.loads(error.body or b"")
    except (ValueError, RecursionError):
        said = None
    status: Mapping[str, Any] = said if isinstance(said, dict) else {}
    wait = str((error.headers or {}).get("Retry-After", ""))
    number = int(error.status or 0)
    reason = str(status.get("reason") or error.reason or "")
    reason = reason if _REASON.fullmatch(reason) else f"status {number}"
    message = redact(str(status.get("message", ""))[:500])
    seconds = float(wait) if wait.isascii() and wait.isdigit() else None
    return Refused(number, reason, message, seconds, _fields(status.get("details")))


def _fields(details: Any) -> list[str]:
    """The first fields that a `Status` objects to."""
    causes = details.get("causes") if isinstance(details, dict) else None
    given = [cause.get("field") for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []
    return [field[:100] for field in given if isinstance(field, str) and field][:5]


def is_another(refused: Refused) -> bool:
    """Whether a patch said which object it meant, and there is another of that name."""
    return refused.status == 422 and "metadata.uid" in refused.fields


def final(refused: Refused) -> Exception:
    """What it means that the server still says no."""
    if refused.status == 401:
        return Unavailable("the API server does not know the dispatcher's token", retry_after=5)
    if refused.reason == "Conflict":
        return Changed("an object changed while it was worked on: try again")
    return away(f"it answered {refused.status}") if refused.passes else refused


def away(because: str) -> Unavailable:
    """Nobody answered, or nobody who had time."""
    log.warning("the API server is away", extra={"facts": {"because": because}})
    return Unavailable("the Kubernetes API server is away or busy", retry_after=2)


def give_up(verb: str, kind: str, namespace: str, refused: Refused) -> NoReturn:
    """Rejected, with what whoever runs the cluster can do about it; Unavailable if it may pass."""
    log.warning("the API server refused", extra={"facts": {"verb": verb, "kind": kind, "why": str(refused)}})
    final_error = Rejected if refused.certain else Unavailable
    if refused.forbidden:
        raise final_error(f"the dispatcher may not {verb} {kind} in namespace {namespace}: grant its role that verb")
    if refused.unserved:
        raise final_error(f"the cluster does not know {kind}: install what serves them")
    if refused.status == 404:
        raise Rejected(f"namespace {namespace} does not exist: create it")
    about = f" ({', '.join(refused.fields)})" if refused.fields else ""
    raise Rejected(f"the API server refused to {verb} {kind} in namespace {namespace}: {refused.reason}{about}")
