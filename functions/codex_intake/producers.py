"""Tasks as JSON: posted by an automation, or as the data of an event."""

import hashlib
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from shared.domain.errors import Malformed
from shared.domain.ids import event_delivery
from shared.domain.task import DEFAULT_DEADLINE_SECONDS, Mode, Stage, Target, TaskRequest
from shared.domain.token import Caller
from shared.events.event import Event
from shared.web.requests import parse_json

Name = Annotated[str, msgspec.Meta(max_length=253)]
Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class TargetBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A cluster object that the task will touch."""

    api_version: Name
    kind: Name
    namespace: Name = ""
    name: Name = ""


class TaskBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The body of `POST /v1/codex/tasks`, and the data of a `task.requested` event."""

    prompt: str
    stage: Stage = Stage.IMPLEMENTATION
    mode: Mode = Mode.DIRECT
    targets: Annotated[list[TargetBody], msgspec.Meta(max_length=50)] = []
    repository: Name = ""
    base: Name = ""
    head: Name = ""
    priority: int = 0
    deadline_seconds: int = DEFAULT_DEADLINE_SECONDS
    metadata: dict[str, Any] = {}
    tags: Annotated[list[Tag], msgspec.Meta(max_length=50)] = []
    idempotency_key: Annotated[str, msgspec.Meta(max_length=255)] = ""


def from_json(body: bytes, caller: Caller, key: str | None, fresh_key: str) -> TaskRequest:
    """A task posted as JSON. `key` is the Idempotency-Key header; without any key the task is new."""
    task = parse_json(body, TaskBody)
    chosen = (key or task.idempotency_key).strip()
    if len(chosen) > 255:
        raise Malformed("Idempotency-Key is longer than 255 characters")
    # The caller is quoted: no key of one caller can be the delivery of another.
    delivery = f"http:{quote(caller.name, safe='')}:{chosen or fresh_key}"
    return _request(task, delivery, "http", caller.name, caller.tenant)


def from_event(event: Event) -> TaskRequest:
    """A task in a `task.requested` event; source and id of the event are its delivery."""
    task = parse_json(event.data or b"", TaskBody)
    source = "discord" if event.source.startswith("/facteur/discord-interaction") else "cloudevent"
    caller = str(task.metadata.get("caller") or event.source)[:255]
    return _request(task, event_delivery(event.source, event.id), source, caller, "default")


def _request(task: TaskBody, delivery: str, source: str, caller: str, tenant: str) -> TaskRequest:
    canonical = msgspec.json.encode(task, order="sorted")
    return TaskRequest(
        delivery_id=delivery,
        source_type=source,
        source_ref=delivery,
        caller=caller,
        tenant=tenant,
        prompt=task.prompt,
        payload=msgspec.to_builtins(task),
        body_hash=hashlib.sha256(canonical).digest(),
        stage=task.stage,
        mode=task.mode,
        repository=task.repository,
        base=task.base,
        head=task.head,
        priority=task.priority,
        deadline_seconds=task.deadline_seconds,
        targets=tuple(Target(t.api_version, t.kind, t.namespace, t.name) for t in task.targets),
        tags=tuple(task.tags),
        metadata=task.metadata,
    )
