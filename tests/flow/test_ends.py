"""Tasks that fail, events that nobody can handle, and the one trace that leads through everything."""

import base64
import json
import re
from collections.abc import Iterable
from functools import partial
from secrets import token_hex
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.events.catalogue import TASK_REQUESTED
from shared.events.event import Event
from shared.local.children import FUNCTIONS
from tests.flow.laptop import TICKS, Laptop
from tests.integration.local.waiting import eventually


def test_a_task_whose_work_fails_ends_failed_with_its_reason(laptop: Laptop) -> None:
    task = laptop.ended(laptop.submit("Write a checklist. Test it.\nfacteur: fail", "fails"))
    assert (task["status"], task["result"], task["attempts"]) == ("failed", "", 1)
    assert "the unit test failed" in task["reason"]
    story = laptop.story(UUID(task["taskId"]))
    assert story.index("failed") > story.index("launched")
    assert story.count("launched") == 1


def test_a_task_in_a_mode_that_is_not_enabled_ends_failed_with_its_reason(laptop: Laptop) -> None:
    event = _request({"prompt": "Apply this", "mode": "temporal"})
    task = laptop.publish(event)
    found = laptop.ended(task)
    assert (found["status"], "not enabled here" in found["reason"]) == ("failed", True)
    assert not laptop.job(task).exists()


@pytest.mark.parametrize(
    ("data", "why"), [({"prompt": 1}, "does not fit"), ({"prompt": "x", "secret-name": "hunter2"}, "unknown field")]
)
def test_an_event_nobody_can_handle_is_kept_with_its_cause(laptop: Laptop, data: dict[str, Any], why: str) -> None:
    event = _request(data)
    task = laptop.publish(event)
    letter = _letter(laptop, event.id)
    assert letter["destination"] == f"http://127.0.0.1:{laptop.info.ports['codex-intake']}/"
    assert (letter["error_code"], letter["times_seen"], letter["type"]) == ("400", 1, TASK_REQUESTED)
    answer = json.loads(base64.b64decode(letter["error_data"]))
    assert why in answer["detail"] and "hunter2" not in json.dumps(answer)
    assert json.loads(letter["event"])["data"] == data
    assert laptop.task(task) is None


def test_an_event_about_a_task_that_was_never_accepted_stops_nothing(laptop: Laptop) -> None:
    nobody = uuid4()
    event = Event(
        id=token_hex(8),
        source="/tests",
        type="ai.proompteng.codex.task.prepared.v1",
        datacontenttype="application/json",
        data=json.dumps({"taskId": str(nobody)}).encode(),
    )
    laptop.publish(event)
    assert laptop.ended(laptop.submit("Go on", "after nobody"))["status"] == "succeeded"
    assert not laptop.job(nobody).exists()


def test_one_trace_leads_from_the_request_through_every_function(laptop: Laptop) -> None:
    trace = token_hex(16)
    task = laptop.submit("Leave a trace", f"trace {trace}", traceparent=f"00-{trace}-{token_hex(8)}-01")
    laptop.ended(task)
    job = json.loads((laptop.job(task) / "job.json").read_text())
    assert _trace(job["env"]["TRACEPARENT"]) == trace
    kept = laptop.rows("SELECT traceparent FROM codex_kb.codex_tasks WHERE id = %(id)s", id=task)
    assert _trace(kept[0]["traceparent"]) == trace
    # Through all functions but the door that this task did not come through.
    for name in set(FUNCTIONS) - {"discord-interaction"}:
        eventually(partial(_spoke, laptop, name, task), f"a line of {name} about the task", TICKS)
        assert {line["traceId"] for line in _about(laptop.log(name), task)} == {trace}


def test_the_trace_of_an_event_is_the_trace_of_its_task(laptop: Laptop) -> None:
    trace = token_hex(16)
    event = _request({"prompt": "Carry a trace"}, traceparent=f"00-{trace}-{token_hex(8)}-01")
    task = laptop.publish(event)
    laptop.ended(task)
    job = json.loads((laptop.job(task) / "job.json").read_text())
    assert _trace(job["env"]["TRACEPARENT"]) == trace


def _request(data: dict[str, Any], **extensions: str) -> Event:
    return Event(
        id=token_hex(8),
        source="/tests",
        type=TASK_REQUESTED,
        datacontenttype="application/json",
        data=json.dumps(data).encode(),
        extensions=extensions,
    )


def _letter(laptop: Laptop, event_id: str) -> dict[str, Any]:
    statement = "SELECT * FROM codex_kb.dead_letters WHERE event_id = %(id)s"
    eventually(lambda: bool(laptop.rows(statement, id=event_id)), "the dead letter", TICKS)
    (letter,) = laptop.rows(statement, id=event_id)
    return letter


def _about(lines: Iterable[dict[str, Any]], task: UUID) -> list[dict[str, Any]]:
    return [line for line in lines if line.get("taskId") == str(task)]


def _spoke(laptop: Laptop, name: str, task: UUID) -> bool:
    return bool(_about(laptop.log(name), task))


def _trace(traceparent: str) -> str:
    found = re.fullmatch(r"00-([0-9a-f]{32})-[0-9a-f]{16}-01", traceparent)
    assert found, traceparent
    return found.group(1)
