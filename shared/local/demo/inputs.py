"""The four inputs of the demo, one for each door that a task can come through."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from google.protobuf import json_format

from functions.discord_interaction.requests import SOURCE
from shared.domain.ids import event_delivery, run_id, stable_id
from shared.events import codec
from shared.events.catalogue import TASK_REQUESTED
from shared.events.event import Event
from shared.events.protobuf.proompteng.froussard.v1.codex_task_pb2 import CodexTask
from shared.local.discord import COMMAND, Person, command, interaction, signed

EXAMPLE = Path(__file__).parents[3] / "eventing" / "examples" / "codex-task.json"
_PRODUCER = "/demo/nightly"
_DEFERRED = 5  # the answer that says: more will follow
_ABOUT = {"repository": "proompteng/lab", "base": "main"}


@dataclass(frozen=True, slots=True)
class Input:
    """One request to the gateway; sending it twice is one task. `event_id` is set where the broker carries it."""

    name: str
    path: str
    body: bytes
    headers: Mapping[str, str] = field(repr=False)
    event_id: str | None = None


def codex_task(api_token: str) -> Input:
    """The example CodexTask of the earlier system, 771 bytes, posted raw as Kafka would."""
    task = json_format.Parse(EXAMPLE.read_text(), CodexTask())
    headers = {"Authorization": f"Bearer {api_token}", "Content-Type": "application/x-protobuf"}
    return Input("protobuf", "/codex/tasks", task.SerializeToString(deterministic=True), headers)


def json_task(api_token: str) -> Input:
    """A task as an automation posts it, safe to repeat by its Idempotency-Key."""
    body = {
        "prompt": "Add retry with back-off to the codex_kb ingestion wiring in Facteur",
        "head": "codex/ingestion-retry",
        "tags": ["demo"],
        **_ABOUT,
    }
    headers = {
        "Authorization": f"Bearer {api_token}",
        "Content-Type": "application/json",
        "Idempotency-Key": "demo-json-task",
    }
    return Input("JSON", "/v1/codex/tasks", json.dumps(body).encode(), headers)


def cloud_event() -> Input:
    """A task as an event from some producer, posted to the broker."""
    body = {
        "prompt": "Write tests for the codex_kb ingestion wiring in Facteur: malformed payloads",
        "head": "codex/ingestion-tests",
        **_ABOUT,
    }
    event = Event(
        id="demo-event-1",
        source=_PRODUCER,
        type=TASK_REQUESTED,
        datacontenttype="application/json",
        data=json.dumps(body).encode(),
    )
    headers, data = codec.encode(event)
    return Input("CloudEvent", "/broker", data, headers, event.id)


def discord_command(private_key: str) -> Input:
    """A slash command that asks for a task, with the twin's own test key."""
    return discord_task(private_key, _interaction())


def discord_task(private_key: str, document: dict[str, Any]) -> Input:
    """An interaction that asks for a task, signed now as Discord signs it."""
    body, headers = signed(private_key, document)
    event_id = str(stable_id(TASK_REQUESTED, "discord", document["id"]))
    return Input("Discord", "/interactions", body, headers, event_id)


@cache
def _interaction() -> dict[str, Any]:
    """Of now, because its card can be shown for 15 minutes; the same for as long as this process runs."""
    prompt = "Document how the codex_kb ingestion wiring in Facteur stays idempotent"
    return interaction(COMMAND, command(["codex", "implement"], {"prompt": prompt, **_ABOUT}), Person())


def task_id(sent: Input, answer: bytes) -> UUID:
    """The id of the task that an answer promises; ValueError if it promises none."""
    if sent.path == "/broker" and sent.event_id:
        return run_id(event_delivery(_PRODUCER, sent.event_id))
    document = json.loads(answer)
    if sent.path != "/interactions":
        return UUID(document.get("taskRunId") or document["taskId"])
    if document.get("type") != _DEFERRED or not sent.event_id:
        raise ValueError("the interaction was not acknowledged")
    return run_id(event_delivery(SOURCE, sent.event_id))
