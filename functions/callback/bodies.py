"""Reads what containers send, redacted before anything else sees it."""

import hashlib
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from shared.domain.errors import Malformed, Rejected
from shared.domain.ids import stable_id
from shared.domain.redaction import redact
from shared.domain.report import Report, Snapshot
from shared.web.requests import parse_json

MAX_EVENTS = 500
MAX_NUMBERS = 50


# Names are shown to people and are keys of sums for ever.
UsageName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z][A-Za-z0-9_]{0,63}$")]
Amount = Annotated[int, msgspec.Meta(ge=0, le=10**15)] | Annotated[float, msgspec.Meta(ge=0, le=1e15)]


class Kind(StrEnum):
    PROGRESS = "progress"
    LOG = "log"
    ARTIFACT = "artifact"
    SNAPSHOT = "snapshot"
    USAGE = "usage"
    HEARTBEAT = "heartbeat"
    COMPLETED = "completed"
    FAILED = "failed"


class SnapshotBody(msgspec.Struct, frozen=True):
    type: Literal["before", "after"]
    content: str


class EventBody(msgspec.Struct, frozen=True, rename="camel"):
    """One event of `POST /v1/codex/tasks/{id}/events`."""

    event_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    sequence: Annotated[int, msgspec.Meta(ge=1, le=2_000_000_000)]
    event_type: Kind
    content: Any = None
    snapshot: SnapshotBody | None = None
    usage: Annotated[dict[UsageName, Amount], msgspec.Meta(max_length=MAX_NUMBERS)] | None = None


def reports(body: bytes, task: UUID, lines: bool = False) -> list[Report]:
    """One event, a list of them, or one a line; of an event id that comes twice the first."""
    events = _lines(body) if lines else _one_or_many(body)
    if not 1 <= len(events) <= MAX_EVENTS:
        raise Malformed(f"a batch has 1 to {MAX_EVENTS} events")
    unique = {event.event_id: event for event in reversed(events)}
    return [_report(event, task) for event in reversed(unique.values())]


def _one_or_many(body: bytes) -> list[EventBody]:
    if body.lstrip().startswith(b"["):
        return parse_json(body, list[EventBody])
    return [parse_json(body, EventBody)]


def _lines(body: bytes) -> list[EventBody]:
    whole = [line for line in body.split(b"\n", MAX_EVENTS + 1) if line.strip()]
    if len(whole) > MAX_EVENTS:
        raise Malformed(f"a batch has 1 to {MAX_EVENTS} events")
    return [parse_json(line, EventBody) for line in whole]


def _report(event: EventBody, task: UUID) -> Report:
    if any(redact(name) != name for name in event.usage or ()):
        raise Rejected("a name of usage looks like a credential: these names are shown to people")
    content: Any = _redacted(event.content)
    snapshot = _snapshot(event, task)
    if content is None:
        content = {"snapshot": snapshot.type, "digest": snapshot.digest} if snapshot else event.usage
    return Report(event.event_id, event.sequence, event.event_type, content, snapshot, event.usage)


def _snapshot(event: EventBody, task: UUID) -> Snapshot | None:
    if event.snapshot is None:
        return None
    content = redact(event.snapshot.content)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Snapshot(stable_id("snapshot", str(task), event.event_id), event.snapshot.type, content, digest)


def _redacted(content: Any) -> Any:
    """The content without credentials; as one text where a key says that its value is one."""
    if content is None or isinstance(content, str):
        return content and redact(content)
    # Each text by itself first, because in JSON its lines are not lines; then all of it, for the keys.
    text = redact(msgspec.json.encode(_texts_redacted(content)).decode())
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _texts_redacted(content: Any) -> Any:
    if isinstance(content, str):
        return redact(content)
    if isinstance(content, list):
        return [_texts_redacted(item) for item in content]
    if isinstance(content, dict):
        return {key: _texts_redacted(value) for key, value in content.items()}
    return content
