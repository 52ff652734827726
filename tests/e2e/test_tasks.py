"""Every door takes a task once, whoever sends it again."""

import json
from typing import Any
from zlib import crc32

import pytest
from google.protobuf import json_format

from shared.domain.ids import event_delivery, run_id
from shared.events.catalogue import TASK_REQUESTED
from shared.events.event import Event
from shared.events.protobuf.proompteng.froussard.v1.codex_task_pb2 import CodexTask
from shared.local.demo.inputs import EXAMPLE
from tests.e2e.conftest import Done
from tests.e2e.system import System, until

PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.fixture(scope="module")
def delivery(key: str) -> bytes:
    """The example task of the earlier system, as nobody has sent it before: with an issue and a branch of its own."""
    task = json_format.Parse(EXAMPLE.read_text(), CodexTask())
    task.delivery_id, task.head, task.issue_number = f"{key}-protobuf", f"codex/{key}", crc32(key.encode())
    return task.SerializeToString(deterministic=True)


def deliver(system: System, body: bytes) -> dict[str, Any]:
    answer = system.post(system.target.intake, "/codex/tasks", body, PROTOBUF)
    assert answer.status == 202, answer.data
    return dict(answer.json())


def test_a_protobuf_is_a_task_that_goes_to_its_end(system: System, delivery: bytes) -> None:
    taken = deliver(system, delivery)
    assert taken.keys() >= {"stage", "namespace", "workflowName", "submittedAt", "ideaId", "taskId", "taskRunId"}
    task = system.ended(taken["taskRunId"])
    assert (task["status"], task["stage"], task["repository"]) == ("succeeded", "implementation", "proompteng/lab")


def test_a_protobuf_that_is_sent_again_gets_the_ids_of_the_first_time(system: System, delivery: bytes) -> None:
    once, again = deliver(system, delivery), deliver(system, delivery)
    ids = ("ideaId", "taskId", "taskRunId", "workflowName", "submittedAt")
    assert [again[name] for name in ids] == [once[name] for name in ids]
    assert again["duplicate"] is True


def test_json_that_is_sent_again_gets_the_same_bytes(system: System, key: str) -> None:
    once = system.submit("Say hello", f"{key}-twice")
    again = system.submit("Say hello", f"{key}-twice")
    # Who asked again after a 503 may be told of the first time already.
    asked_again = once.retries is not None and bool(once.retries.history)
    assert once.status == 202 or (once.status == 200 and asked_again)
    assert again.status == 200
    assert again.headers["Idempotent-Replay"] == "true"
    assert again.data == once.data


def test_another_task_under_the_same_key_is_a_conflict(system: System, key: str, first: Done) -> None:
    # Not as it was at its end: what is remembered of a task may be more a moment later.
    before = system.show(first.id)
    answer = system.submit("Say something else", f"{key}-first")
    assert answer.status == 409
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert system.show(first.id) == before
    assert {name: before[name] for name in before if name != "memory"} == {
        name: first.shown[name] for name in first.shown if name != "memory"
    }


def test_an_event_that_is_published_twice_is_one_task(system: System, key: str, broker: str) -> None:
    data = json.dumps({"prompt": "Say that an event asked for this", "tags": ["e2e"]}).encode()
    event = Event(f"{key}-event", "/facteur/e2e", TASK_REQUESTED, datacontenttype="application/json", data=data)
    task = str(run_id(event_delivery(event.source, event.id)))
    system.publish(event)
    until(lambda: bool(system.show(task)), f"task {task} of an event")
    system.publish(event)
    ended = system.ended(task)
    assert (ended["status"], ended["attempts"]) == ("succeeded", 1)
    assert [entry["what"] for entry in system.timeline(task)].count("launched") == 1


def test_a_task_is_in_the_list(system: System, first: Done) -> None:
    caller = first.shown["caller"]
    answer = system.get(system.target.intake, f"/v1/codex/tasks?caller={caller}&status=succeeded&limit=100")
    assert answer.status == 200
    (found,) = [task for task in answer.json()["tasks"] if task["taskId"] == first.id]
    assert found["finishedAt"] == first.shown["finishedAt"]


@pytest.mark.parametrize("body", [b"", b"no protobuf", b"\xff" * 40], ids=["empty", "text", "bytes"])
def test_a_body_that_is_no_task_is_refused_for_good(system: System, body: bytes) -> None:
    answer = system.post(system.target.intake, "/codex/tasks", body, PROTOBUF)
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
