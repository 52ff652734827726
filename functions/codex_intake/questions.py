"""What a request asks about tasks, from its query and its headers."""

from typing import Annotated

import msgspec
from flask import Request
from msgspec import UNSET, Meta, UnsetType

from shared.domain.cursors import TASK_CURSOR, EntryId, TaskCursor
from shared.domain.outcome import Judgement
from shared.domain.run import RunState
from shared.domain.task import MAX_COALESCE_SECONDS
from shared.domain.timeline import Wanted
from shared.web.requests import NO_NULL, parse_query

_STREAM = "text/event-stream"

Text = Annotated[str, Meta(max_length=1000, pattern=NO_NULL)]
LastEvent = Annotated[str, Meta(max_length=400, extra_json_schema={"format": "entry-id"})]
LastEventHeader = Annotated[LastEvent, Meta(min_length=1)]


class DeliveryQuery(msgspec.Struct, frozen=True):
    """What the query of a protobuf delivery may hold."""

    coalesce: Annotated[
        int,
        Meta(ge=0, le=MAX_COALESCE_SECONDS, description="Become part of an open task for the same work, this old."),
    ] = 0


class ListQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the query of a list may hold."""

    status: Annotated[list[RunState], Meta(description="Any of these states; also as one text with commas.")] = []
    caller: Annotated[Text, Meta(description="Tasks of this caller only; empty is any.")] = ""
    repository: Annotated[Text, Meta(description="Tasks about this repository only; empty is any.")] = ""
    limit: Annotated[int, Meta(ge=1, le=200, description="How many at most.")] = 50
    cursor: Annotated[str, Meta(pattern=TASK_CURSOR, description="The `next` of an earlier answer.")] | UnsetType = (
        UNSET
    )


class VerdictBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person says of a task's work."""

    verdict: Judgement
    note: Annotated[Text, Meta(description="Why; shown in the timeline.")] = ""


class TimelineQuery(msgspec.Struct, frozen=True, rename="camel"):
    """What the query of a timeline may hold."""

    last_event_id: Annotated[LastEvent, Meta(description="Last-Event-ID, for a client that can set no header.")] = ""


def wanted(request: Request) -> Wanted:
    """The tasks to list; Malformed for a parameter that is unknown, given twice or out of bounds."""
    query = parse_query(request, ListQuery)
    return Wanted(
        statuses=tuple(query.status),
        caller=query.caller or None,
        repository=query.repository or None,
        limit=query.limit,
        before=TaskCursor.parse(query.cursor) if query.cursor else None,
    )


def wants_stream(request: Request) -> bool:
    """Whether the client would rather have server-sent events than JSON."""
    offered = ("application/json", _STREAM)
    return request.accept_mimetypes.best_match(offered, offered[0]) == _STREAM


def last_event(request: Request) -> EntryId | None:
    """Where the client goes on: the header of one that comes back, else `lastEventId` of the query."""
    asked = parse_query(request, TimelineQuery).last_event_id or None
    # One with strange characters arrives empty, and is no id.
    last = request.headers.get("Last-Event-ID", asked)
    return None if last is None else EntryId.parse(last)
