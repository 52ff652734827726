"""The four inputs of the demo, one for each door that a task can come through."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from google.protobuf import json_format
from nacl.signing import SigningKey

from shared.domain.ids import event_delivery, run_id, stable_id
from shared.events import codec
from shared.events.catalogue import TASK_REQUESTED
from shared.events.event import Event
from shared.events.protobuf.proompteng.froussard.v1.codex_task_pb2 import CodexTask

EXAMPLE = Path(__file__).parents[3] / "eventing" / "examples" / "codex-task.json"
_INTERACTION = "1299999999999999999"
_PRODUCER = "/demo/nightly"
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
    """A slash command, signed as Discord signs it, with the twin's own test key."""
    options = [
        {
            "name": "prompt",
            "type": 3,
            "value": "Document how the codex_kb ingestion wiring in Facteur stays idempotent",
        },
        *({"name": name, "type": 3, "value": value} for name, value in _ABOUT.items()),
    ]
    interaction = {
        "id": _INTERACTION,
        "application_id": "1200000000000000000",
        "type": 2,
        "token": "demo-interaction-token",
        "version": 1,
        "data": {
            "id": "1",
            "name": "codex",
            "type": 1,
            "options": [{"name": "implement", "type": 1, "options": options}],
        },
        "guild_id": "1100000000000000000",
        "member": {"user": {"id": "1000000000000000000", "username": "demo"}, "roles": []},
    }
    body = json.dumps(interaction).encode()
    timestamp = str(int(time.time()))
    signature = SigningKey(bytes.fromhex(private_key)).sign(timestamp.encode() + body).signature.hex()
    headers = {
        "Content-Type": "application/json",
        "X-Signature-Timestamp": timestamp,
        "X-Signature-Ed25519": signature,
    }
    return Input("Discord", "/interactions", body, headers, str(stable_id(TASK_REQUESTED, "discord", _INTERACTION)))


def task_id(sent: Input, answer: bytes) -> UUID:
    """The id of the task that an answer promises; ValueError if it promises none."""
    if sent.path == "/broker" and sent.event_id:
        return run_id(event_delivery(_PRODUCER, sent.event_id))
    document = json.loads(answer)
    if sent.path != "/interactions":
        return UUID(document.get("taskRunId") or document["taskId"])
    found = re.search(r"`([0-9a-f-]{36})` is on its way", document["data"]["content"])
    if not found:
        raise ValueError("the interaction was not queued")
    return UUID(found.group(1))
