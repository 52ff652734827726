"""What the settings of codex-intake make of a task, and what a Kafka source may bring."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.domain.ids import run_id
from shared.events import codec
from shared.events.catalogue import KAFKA_RECORD, TASK_REQUESTED
from shared.events.event import Event
from tests.component.conftest import Stage
from tests.component.functions import Function, Sink, authorised, running, settings
from tests.component.test_codex_intake import example

Start = Callable[..., Function]
ENABLED = "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_ENABLED"


@pytest.fixture
def start(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Start]:
    """Starts codex-intake with these settings on top of the usual ones."""
    with ExitStack() as stack:

        def started(**more: str) -> Function:
            env = settings(stage.dsn, module_sink.url, folder) | more
            return stack.enter_context(running("codex-intake", env, folder / "log"))

        yield started


def deliver(intake: Function, delivery: str, **changes: Any) -> tuple[int, Any]:
    answer = intake.post("/codex/tasks", example(delivery_id=delivery, **changes), authorised())
    return answer.status, json.loads(answer.data)


def stored(stage: Stage, delivery: str) -> Mapping[str, Any]:
    (row,) = stage.rows("SELECT mode, orchestration FROM codex_kb.codex_tasks WHERE id = %(task)s", run_id(delivery))
    return row


def kafka(body: bytes, **more: str) -> Event:
    """A record as an eventing-kafka source posts it."""
    extensions = {"key": "issue-7-implementation", "partitionkey": "issue-7-implementation"}
    extensions |= {"kafkaheaderxgithubdelivery": "d-1", "kafkaheaderxcodextaskstage": "implementation"} | more
    return Event(
        f"partition:0/offset:{uuid4().int % 10**9}",
        "/apis/v1/namespaces/facteur/kafkasources/facteur-codex-tasks#github.issues.codex.tasks",
        KAFKA_RECORD,
        subject="partition:0#7",
        datacontenttype="application/x-protobuf",
        extensions=extensions,
        data=body,
    )


# --- orchestrator


def test_where_nothing_is_said_a_delivery_is_a_job(start: Start, stage: Stage) -> None:
    delivery = str(uuid4())
    status, answer = deliver(start(), delivery)
    assert (status, answer["namespace"], answer["workflowName"]) == (202, "default", f"codex-{run_id(delivery)}-1")
    assert stored(stage, delivery) == {"mode": "direct", "orchestration": {}}


@pytest.mark.parametrize("switch", [ENABLED, "FACTEUR_CODEX_ENABLE_IMPLEMENTATION_ORCHESTRATION"])
def test_switched_on_it_is_a_workflow_whose_name_never_changes(start: Start, stage: Stage, switch: str) -> None:
    plain, autonomous = str(uuid4()), str(uuid4())
    prefix = "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_"
    intake = start(
        **{
            switch: "true",
            f"{prefix}PARAMETERS": '{"rawEvent": "x", "team": "core"}',
            f"{prefix}JUDGE_PROMPT": "judge",
        },
        FACTEUR_ARGO_NAMESPACE="runs",
    )
    _, answer = deliver(intake, plain, issue_number=1635)
    assert answer["namespace"] == "runs"
    assert answer["workflowName"] == f"github-codex-implementation-{run_id(plain).hex[:16]}-1"
    assert stored(stage, plain)["mode"] == "argo"
    workflow = stored(stage, plain)["orchestration"]
    assert (workflow["workflowTemplate"], workflow["autonomous"]) == ("github-codex-implementation", False)
    assert workflow["parameters"] == {
        "rawEvent": "x",
        "team": "core",
        "judge_prompt": "judge",
        "head": "codex/issue-1635-ingestion",
        "base": "main",
        "repository": "proompteng/lab",
        "issue_number": "1635",
        "implementation_iterations": "1",
        "iteration_cycle": "1",
    }
    _, other = deliver(intake, autonomous, autonomous=True)
    assert other["workflowName"].startswith("codex-autonomous-")
    assert stored(stage, autonomous)["orchestration"]["workflowTemplate"] == "codex-autonomous"
    replayed = deliver(start(), plain, issue_number=1635)[1]
    assert replayed == answer | {"duplicate": True}


def test_switched_off_it_is_refused_in_the_earlier_systems_words_and_kept_by_the_broker(start: Start) -> None:
    status, answer = deliver(start(**{ENABLED: "false"}), str(uuid4()))
    assert (status, answer["error"]) == (503, "implementation orchestrator disabled")


def test_with_the_dispatcher_disabled_tasks_are_stored_and_say_why_they_wait(start: Start) -> None:
    intake = start(**{ENABLED: "false", "FACTEUR_DISABLE_DISPATCHER": "true"})
    status, answer = deliver(intake, str(uuid4()))
    assert status == 202
    shown = json.loads(intake.get(f"/v1/codex/tasks/{answer['taskRunId']}", authorised()).data)
    assert shown["status"] == "accepted"
    assert "FACTEUR_DISABLE_DISPATCHER" in shown["held"]


def test_a_task_that_asks_for_argo_shows_its_template_in_its_status(start: Start) -> None:
    intake = start()
    accepted = json.loads(intake.post("/v1/codex/tasks", b'{"prompt": "x", "mode": "argo"}', authorised()).data)
    shown = json.loads(intake.get(accepted["links"]["self"], authorised()).data)
    assert shown["mode"] == "argo"
    assert shown["orchestration"]["workflowTemplate"] == "github-codex-implementation"


def test_codex_tasks_switched_off_are_refused_until_they_are_on_again(start: Start) -> None:
    intake = start(GRAF_CODEX_TASKS_ENABLED="false")
    assert intake.post("/v1/codex/tasks", b'{"prompt": "x"}', authorised()).status == 503
    asked = Event(str(uuid4()), "/tests", TASK_REQUESTED, datacontenttype="application/json", data=b'{"prompt": "x"}')
    assert intake.deliver(asked).status == 503
    assert deliver(intake, str(uuid4()))[0] == 202


# --- Kafka


def post(intake: Function, event: Event, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    said, body = codec.encode(event)
    answer = intake.post("/codex/tasks", body, {**said, **(headers or {})})
    return answer.status, json.loads(answer.data)


def test_a_kafka_source_needs_a_token_unless_its_door_is_open(start: Start, stage: Stage) -> None:
    delivery = str(uuid4())
    record = kafka(example(delivery_id=delivery))
    assert post(start(), record)[0] == 401
    status, answer = post(start(FACTEUR_CODEX_TASKS_OPEN="true"), record)
    assert (status, answer["taskRunId"]) == (202, str(run_id(delivery)))
    (row,) = stage.rows("SELECT caller FROM codex_kb.codex_tasks WHERE id = %(task)s", UUID(answer["taskRunId"]))
    assert row["caller"] == "kafka"


def test_an_open_door_still_checks_a_token_that_is_sent(start: Start) -> None:
    intake = start(FACTEUR_CODEX_TASKS_OPEN="true")
    assert post(intake, kafka(example(delivery_id=str(uuid4()))), authorised("wrong"))[0] == 401


def test_raw_and_binary_and_structured_are_the_same_delivery(start: Start) -> None:
    intake, delivery = start(), str(uuid4())
    record = kafka(example(delivery_id=delivery))
    raw, binary = deliver(intake, delivery)[1], post(intake, record, authorised())[1]
    headers = authorised(**{"Content-Type": "application/cloudevents+json; charset=utf-8"})
    structured = json.loads(intake.post("/codex/tasks", codec.to_json(record), headers).data)
    assert not raw["duplicate"]
    assert binary == structured == raw | {"duplicate": True}
    assert intake.deliver(record).status == 204


def letters(stage: Stage, event: Event) -> list[Mapping[str, Any]]:
    statement = (
        "SELECT destination, error_code, reason, times_seen, event FROM codex_kb.dead_letters WHERE event_id = %(id)s"
    )
    return list(stage.rows(statement, id=event.id))


def test_a_record_that_is_refused_for_ever_is_kept_once_with_its_cause(start: Start, stage: Stage) -> None:
    intake = start()
    record = kafka(example(delivery_id=str(uuid4()), stage=3))
    assert [post(intake, record, authorised())[0] for _ in range(2)] == [400, 400]
    (letter,) = letters(stage, record)
    assert letter["destination"] == f"{intake.url}/codex/tasks"
    assert (letter["error_code"], letter["reason"]) == ("400", "unsupported codex stage")
    assert letter["times_seen"] == 2
    assert codec.from_json(letter["event"].encode()).data == record.data


def test_a_record_that_may_be_taken_later_leaves_no_letter(start: Start, stage: Stage) -> None:
    record = kafka(example(delivery_id=str(uuid4())))
    assert post(start(**{ENABLED: "false"}), record, authorised())[0] == 503
    assert letters(stage, record) == []
