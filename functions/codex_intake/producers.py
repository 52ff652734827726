"""Tasks as JSON: posted by an automation, or as the data of an event."""

import hashlib
import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from functions.codex_intake.orchestrate import Switches
from shared.domain.errors import Malformed
from shared.domain.ids import event_delivery, http_delivery
from shared.domain.task import (
    DEFAULT_DEADLINE_SECONDS,
    MAX_COALESCE_SECONDS,
    MAX_DEADLINE_SECONDS,
    MAX_PRIORITY,
    MAX_PROMPT_CHARACTERS,
    MIN_PRIORITY,
    Mode,
    Stage,
    Target,
    TaskRequest,
)
from shared.domain.token import Caller
from shared.events.catalogue import TASK_REQUESTED
from shared.events.event import Event
from shared.web.requests import NO_NULL, parse_json

# What else must hold is checked by `parse_json` and `TaskRequest`, who say so in better words.
_TEXT = {"pattern": NO_NULL}
_SPACE = r"\t-\r\u001c- \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_PROMPT = {
    "minLength": 1,
    "maxLength": MAX_PROMPT_CHARACTERS,
    "pattern": rf"^[{_SPACE}]*[^\u0000{_SPACE}][^\u0000]*$",
}
_ANYTHING = {"propertyNames": _TEXT, "additionalProperties": {"$ref": "#/components/schemas/Json"}}
# `coalesce` needs to know which tasks are about the same work.
_COALESCE = {
    "anyOf": [
        {"properties": {"coalesce": {"maximum": 0}}},
        {
            "properties": {"repository": {"minLength": 1}, "issueNumber": {"minimum": 1}},
            "required": ["repository", "issueNumber"],
        },
    ]
}

Name = Annotated[str, Meta(max_length=253, extra_json_schema=_TEXT)]
Tag = Annotated[str, Meta(min_length=1, max_length=100, extra_json_schema=_TEXT)]
Key = Annotated[str, Meta(max_length=255, extra_json_schema=_TEXT)]
HEADER_KEY = "^[!-~](?:[ -~]*[!-~])?$"
HeaderKey = Annotated[str, Meta(max_length=255, pattern=HEADER_KEY)]


class TargetBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A cluster object that the task will touch."""

    api_version: Name
    kind: Name
    namespace: Name = ""
    name: Name = ""


class TaskBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The body of `POST /v1/codex/tasks`, and the data of a `task.requested` event."""

    prompt: Annotated[str, Meta(description="What is to be done.", extra_json_schema=_PROMPT)]
    stage: Stage = Stage.IMPLEMENTATION
    mode: Mode = Mode.DIRECT
    targets: Annotated[list[TargetBody], Meta(max_length=50)] = []
    repository: Name = ""
    base: Name = ""
    head: Name = ""
    priority: Annotated[int, Meta(ge=MIN_PRIORITY, le=MAX_PRIORITY)] = 0
    deadline_seconds: Annotated[int, Meta(ge=1, le=MAX_DEADLINE_SECONDS)] = DEFAULT_DEADLINE_SECONDS
    metadata: Annotated[
        dict[str, Any], Meta(description="Kept with the task; at most 64 levels deep.", extra_json_schema=_ANYTHING)
    ] = {}
    tags: Annotated[list[Tag], Meta(max_length=50)] = []
    issue_number: Annotated[int, Meta(ge=0, le=2**53)] = 0
    coalesce: Annotated[
        int,
        Meta(ge=0, le=MAX_COALESCE_SECONDS, description="Become part of an open task for the same work, this old."),
    ] = 0
    idempotency_key: Annotated[Key, Meta(description="For clients that cannot send the header Idempotency-Key.")] = ""


Submission = Annotated[TaskBody, Meta(extra_json_schema=_COALESCE)]


def from_json(body: bytes, caller: Caller, key: str | None, fresh_key: str, switches: Switches) -> TaskRequest:
    """A task posted as JSON. `key` is the Idempotency-Key header; without any key the task is new."""
    task = parse_json(body, TaskBody)
    # The server passes a header with any other character on as an empty one.
    if key is not None and (len(key) > 255 or not re.fullmatch(HEADER_KEY, key)):
        raise Malformed("Idempotency-Key must be 1 to 255 printable ASCII characters")
    chosen = (key or task.idempotency_key).strip()
    return _request(task, http_delivery(caller.name, chosen or fresh_key), "http", caller, switches)


def from_event(event: Event, caller: Caller | None, switches: Switches) -> TaskRequest:
    """A task in an event, as JSON or as a protobuf delivery.

    `caller` is who sent it over HTTP, None if the broker brought it: then its source is the caller.
    Source and id of the event are the delivery of a JSON task, and the caller's own as any key of theirs;
    a protobuf has its own.
    """
    if _is_protobuf(event):
        # Only these events need the protobuf runtime.
        from functions.codex_intake.deliveries import from_protobuf

        return from_protobuf(event.data or b"", caller or _sender(event.source), switches)
    task = parse_json(event.data or b"", TaskBody)
    source = "discord" if event.source.startswith("/facteur/discord-interaction") else "cloudevent"
    sender = caller or _sender(str(task.metadata.get("caller") or event.source))
    delivery = event_delivery(event.source, event.id)
    return _request(task, http_delivery(caller.name, delivery) if caller else delivery, source, sender, switches)


def _is_protobuf(event: Event) -> bool:
    kind = (event.datacontenttype or "").partition(";")[0].strip().lower()
    is_json = kind in ("application/json", "text/json") or kind.endswith("+json")
    return not is_json and (bool(kind) or event.type != TASK_REQUESTED)


def _sender(name: str) -> Caller:
    return Caller(name[:255], "default", frozenset())


def _request(task: TaskBody, delivery: str, source: str, caller: Caller, switches: Switches) -> TaskRequest:
    canonical = msgspec.json.encode(task, order="sorted")
    about_issue = bool(task.repository and task.issue_number)
    workflow = switches.workflow(task.repository, task.issue_number, task.base, task.head)
    return TaskRequest(
        delivery_id=delivery,
        source_type="github_issue" if about_issue else source,
        source_ref=f"{task.repository}#{task.issue_number}" if about_issue else delivery,
        caller=caller.name,
        tenant=caller.tenant,
        prompt=task.prompt,
        payload=msgspec.to_builtins(task),
        body_hash=hashlib.sha256(canonical).digest(),
        stage=task.stage,
        mode=task.mode,
        repository=task.repository,
        base=task.base,
        head=task.head,
        issue_number=task.issue_number,
        priority=task.priority,
        deadline_seconds=task.deadline_seconds,
        targets=tuple(Target(t.api_version, t.kind, t.namespace, t.name) for t in task.targets),
        tags=tuple(task.tags),
        metadata=task.metadata,
        orchestration=workflow if task.mode is Mode.ARGO else {},
        coalesce_seconds=task.coalesce,
    )
