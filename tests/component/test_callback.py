"""callback over HTTP: what a container reports is recorded once."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from urllib3 import BaseHTTPResponse

from shared.domain.task_token import mint_task_token
from tests.component.conftest import Stage, until
from tests.component.functions import TOKEN_SECRET, Function, Sink, authorised, running, settings

pytestmark = pytest.mark.usefixtures("announced")

Run = tuple[UUID, dict[str, str]]


@pytest.fixture(scope="module")
def callback(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    with running("callback", settings(stage.dsn, module_sink.url, folder), folder / "log") as function:
        yield function


@pytest.fixture
def run(stage: Stage) -> Run:
    """A running task and the headers of its container."""
    return stage.launch()


def event(number: int, kind: str = "progress", **more: Any) -> dict[str, Any]:
    return {"eventId": f"e{number}", "sequence": number, "eventType": kind, "content": f"step {number}", **more}


def send(callback: Function, run: Run, *events: Any) -> BaseHTTPResponse:
    body = json.dumps(events[0] if len(events) == 1 else events).encode()
    return callback.post(f"/v1/codex/tasks/{run[0]}/events", body, run[1])


def recorded(callback: Function, run: Run, *events: Any) -> dict[str, Any]:
    answer = send(callback, run, *events)
    assert answer.status == 200, answer.data
    document: dict[str, Any] = json.loads(answer.data)
    return document


def contents(stage: Stage, run: Run) -> list[Any]:
    rows = stage.rows(
        "SELECT content FROM codex_kb.codex_task_events WHERE task_id = %(task)s ORDER BY sequence, id", run[0]
    )
    return [row["content"] for row in rows]


def test_one_event_and_a_list_are_both_recorded(callback: Function, stage: Stage, run: Run) -> None:
    assert recorded(callback, run, event(1)) == {"accepted": 1, "duplicates": 0, "gaps": [], "status": "running"}
    assert recorded(callback, run, event(2), event(3))["accepted"] == 2
    assert contents(stage, run) == ["step 1", "step 2", "step 3"]


def test_what_makes_a_memory_is_announced_once(callback: Function, stage: Stage, run: Run, broker: Sink) -> None:
    seen = event(2, "snapshot", snapshot={"type": "after", "content": "a: 2"})
    for _ in range(2):
        recorded(callback, run, event(1), seen)
    until(lambda: broker.events and stage.heard(broker, run[0]))
    assert broker.types() == ["run.reported.v1"]


def test_repeats_change_nothing_and_are_counted(callback: Function, stage: Stage, run: Run) -> None:
    recorded(callback, run, event(1), event(2))
    again = recorded(callback, run, event(1, content="changed"), event(2), event(2))
    assert again == {"accepted": 0, "duplicates": 2, "gaps": [], "status": "running"}
    assert contents(stage, run) == ["step 1", "step 2"]


def test_gaps_are_told_until_they_are_closed(callback: Function, run: Run) -> None:
    assert recorded(callback, run, event(3), event(7))["gaps"] == [[1, 2], [4, 6]]
    assert recorded(callback, run, event(1), event(2), event(5))["gaps"] == [[4, 4], [6, 6]]
    assert recorded(callback, run, event(6), event(4))["gaps"] == []


def test_what_makes_no_memory_wakes_nobody(callback: Function, stage: Stage, run: Run, broker: Sink) -> None:
    recorded(callback, run, event(1, "heartbeat"), event(2, "log"), event(3), event(4, "usage", usage={"tokens": 1}))
    assert stage.outbox(run[0]) == []
    assert broker.events == []


def test_a_run_completes_once_and_is_fenced_afterwards(
    callback: Function, stage: Stage, run: Run, broker: Sink
) -> None:
    last = event(2, "completed", content="all is well")
    assert recorded(callback, run, event(1), last)["status"] == "succeeded"
    assert recorded(callback, run, event(1), last) == {
        "accepted": 0,
        "duplicates": 2,
        "gaps": [],
        "status": "succeeded",
    }
    late = send(callback, run, event(3))
    assert (late.status, json.loads(late.data)["type"]) == (409, "urn:facteur:problem:conflict")
    assert send(callback, run, event(4, "failed")).status == 409
    until(lambda: broker.events)
    assert broker.types() == ["task.finished.v1"]
    assert stage.status(run[0]) == ("succeeded", "")
    (row,) = stage.rows("SELECT result FROM codex_kb.codex_tasks WHERE id = %(task)s", run[0])
    assert row["result"] == "all is well"


def test_a_failure_keeps_its_reason(callback: Function, stage: Stage, run: Run, broker: Sink) -> None:
    recorded(callback, run, event(1, "failed", content="no such branch"))
    assert stage.status(run[0]) == ("failed", "no such branch")
    until(lambda: broker.events)
    assert json.loads(broker.events[0].data or b"")["status"] == "failed"


def test_a_silent_failure_gets_a_reason(callback: Function, stage: Stage, run: Run) -> None:
    recorded(callback, run, event(1, "failed", content=None))
    assert stage.status(run[0]) == ("failed", "the container said that it failed")


def test_tokens_of_another_attempt_or_task_do_not_fit(callback: Function, stage: Stage, run: Run) -> None:
    other, headers = stage.launch()
    assert send(callback, (run[0], headers), event(1)).status == 401
    later = authorised(mint_task_token(TOKEN_SECRET, run[0], 2))
    assert send(callback, (run[0], later), event(1)).status == 409
    assert contents(stage, run) == contents(stage, (other, headers)) == []
    nobody = uuid4()
    unknown = authorised(mint_task_token(TOKEN_SECRET, nobody, 1))
    assert send(callback, (nobody, unknown), event(1)).status == 404


def test_no_credential_is_recorded_whatever_the_form_of_the_content(callback: Function, stage: Stage, run: Run) -> None:
    token = "ghp_" + "a1B2" * 9
    manifest = "kind: Secret\nstringData:\n  colour: ultramarine-1\n"
    recorded(
        callback,
        run,
        event(1, "log", content=f"cloned with {token}"),
        event(2, content={"env": {"DB_PASSWORD": "correct-horse-7"}, "seen": [f"Bearer {token}"]}),
        event(3, content={"kind": "Secret", "data": {"colour": "dWx0cmFtYXJpbmUtMg=="}, "password": 12345678}),
        event(4, content={"applied": manifest}),
        event(5, "snapshot", content=None, snapshot={"type": "after", "content": manifest}),
        event(6, "completed", content=f"pushed with {token}"),
    )
    stored = json.dumps(contents(stage, run))
    rows = stage.rows(
        "SELECT result, content FROM codex_kb.codex_tasks JOIN codex_kb.codex_task_snapshots "
        "ON task_id = codex_tasks.id WHERE task_id = %(task)s",
        run[0],
    )
    stored += json.dumps(list(rows)) + callback.log.read_text()
    for secret in (token, "correct-horse-7", "dWx0cmFtYXJpbmUtMg==", "12345678", "ultramarine"):
        assert secret not in stored, secret
    assert "cloned with" in stored


def test_snapshots_and_usage_are_stored_beside_the_events(callback: Function, stage: Stage, run: Run) -> None:
    before = event(1, "snapshot", content=None, snapshot={"type": "before", "content": "a: 1"})
    after = event(2, "snapshot", content=None, snapshot={"type": "after", "content": "a: 2"})
    for _ in range(2):
        recorded(callback, run, before, after, event(3, "usage", usage={"inputTokens": 10, "seconds": 1.5}))
    recorded(callback, run, event(4, "usage", usage={"inputTokens": 20}))
    rows = stage.rows(
        "SELECT type, content, digest FROM codex_kb.codex_task_snapshots WHERE task_id = %(task)s ORDER BY type DESC",
        run[0],
    )
    assert [(row["type"], row["content"]) for row in rows] == [("before", "a: 1"), ("after", "a: 2")]
    assert rows[0]["digest"] == hashlib.sha256(b"a: 1").hexdigest()
    (row,) = stage.rows("SELECT usage FROM codex_kb.codex_tasks WHERE id = %(task)s", run[0])
    assert row["usage"] == {"inputTokens": 30, "seconds": 1.5}


@pytest.mark.parametrize(
    "body",
    [
        [],
        [event(number) for number in range(1, 502)],
        event(0),
        event(1, "surprise"),
        event(1, eventId=""),
        event(1, eventId="x" * 201),
        event(1, snapshot={"type": "during", "content": "x"}),
        event(1, usage={"tokens": "many"}),
        event(1, content="nul \x00 here"),
        event(1, content={"deep": json.loads("[" * 500 + "]" * 500)}),
        [event(1), "not an event"],
        "text",
        None,
    ],
    ids=lambda body: json.dumps(body)[:40],
)
def test_a_body_that_does_not_fit_is_refused_and_nothing_of_it_recorded(
    callback: Function, stage: Stage, run: Run, body: Any
) -> None:
    assert callback.post(f"/v1/codex/tasks/{run[0]}/events", json.dumps(body).encode(), run[1]).status == 400
    assert contents(stage, run) == []


def test_a_broker_that_is_away_leaves_the_end_in_the_outbox(
    callback: Function, stage: Stage, run: Run, broker: Sink
) -> None:
    broker.status = 503
    assert recorded(callback, run, event(1, "completed"))["status"] == "succeeded"
    assert stage.outbox(run[0]) == ["task.finished.v1"]
