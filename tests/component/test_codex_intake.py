"""codex-intake over HTTP: a task is accepted once, whatever door it comes through."""

import hashlib
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any
from uuid import UUID, uuid4

import pytest
from google.protobuf import json_format

from shared.domain.ids import event_delivery, resource_name, run_id
from shared.domain.task_token import Scope, check_task_token
from shared.events import codec
from shared.events.catalogue import KAFKA_RECORD, TASK_REQUESTED
from shared.events.event import Event
from shared.events.protobuf.proompteng.froussard.v1.codex_task_pb2 import CodexTask, CodexTaskStage
from shared.local.state import free_port
from tests.component.conftest import COLLEAGUE_TOKEN, STRANGER_TOKEN, Stage, api_tokens, until
from tests.component.functions import HTTP, READ_ONLY_TOKEN, TOKEN_SECRET, Function, Sink, authorised, running, settings
from tests.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("announced")

EXAMPLE = Path(__file__).parents[2] / "eventing" / "examples" / "codex-task.json"
KEYS = {"stage", "namespace", "workflowName", "submittedAt", "duplicate", "ideaId", "taskId", "taskRunId"}


@pytest.fixture(scope="module")
def intake(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    env = settings(stage.dsn, module_sink.url, folder) | {"FACTEUR_API_TOKENS": api_tokens()}
    with running("codex-intake", env, folder / "log") as function:
        yield function


def example(**changes: Any) -> bytes:
    task = json_format.Parse(EXAMPLE.read_text(), CodexTask())
    for name, value in changes.items():
        setattr(task, name, value)
    return task.SerializeToString(deterministic=True)


def fresh_example() -> bytes:
    return example(delivery_id=f"delivery-{uuid4()}")


def submit(intake: Function, key: str | None, body: Any, token: str | None = None) -> Any:
    headers = authorised(token) if token else authorised()
    if key:
        headers["Idempotency-Key"] = key
    return intake.post("/v1/codex/tasks", body if isinstance(body, bytes) else json.dumps(body).encode(), headers)


# --- CodexTask protobufs


def test_the_example_is_accepted_with_any_content_type_and_with_none(intake: Function, broker: Sink) -> None:
    body = example()
    assert len(body) == 771
    assert hashlib.sha256(body).hexdigest() == "9302afb17f85a428703059176ae40493df0fec7e711865dd4c9430c932cdd3e7"
    types: list[dict[str, str]] = [{}, {"Content-Type": "application/x-protobuf"}, {"Content-Type": "text/html; a=b"}]
    types.append({"Content-Type": "application/json"})
    answers = [intake.post("/codex/tasks", body, authorised(**more)) for more in types]
    assert [answer.status for answer in answers] == [202] * 4
    documents = [json.loads(answer.data) for answer in answers]
    first = documents[0]
    assert first.keys() == KEYS
    assert (first["stage"], first["duplicate"]) == ("implementation", False)
    assert first["taskRunId"] == str(run_id("delivery-1635-implementation"))
    assert first["workflowName"] == resource_name(UUID(first["taskRunId"]), 1)
    assert all(document == first | {"duplicate": True} for document in documents[1:])
    until(lambda: broker.events)
    assert broker.types() == ["task.accepted.v1"]


def test_a_delivery_is_stored_as_the_earlier_system_stored_it(intake: Function, stage: Stage, broker: Sink) -> None:
    body = fresh_example()
    answer = json.loads(intake.post("/codex/tasks", body, authorised()).data)
    (row,) = stage.rows(
        "SELECT ideas.payload, ideas.source_type, ideas.source_ref, tasks.stage, task_runs.delivery_id "
        "FROM codex_kb.tasks JOIN codex_kb.task_runs ON task_runs.task_id = tasks.id "
        "JOIN codex_kb.ideas ON ideas.id = idea_id WHERE task_runs.id = %(task)s",
        UUID(answer["taskRunId"]),
    )
    expected = json.loads(EXAMPLE.read_text()) | {
        "stage": "implementation",
        "issueNumber": "1635",
        "planCommentId": "123456789",
        "deliveryId": CodexTask.FromString(body).delivery_id,
    }
    stored = row["payload"]
    assert {name: stored.get(name) for name in expected} == expected
    assert row["source_ref"] == "proompteng/lab#1635"
    assert (row["source_type"], row["stage"]) == ("github_issue", "implementation")
    assert row["delivery_id"] == expected["deliveryId"]


def test_an_unset_time_is_stored_as_null_and_unset_optional_fields_not_at_all(intake: Function, stage: Stage) -> None:
    task = CodexTask(
        stage=CodexTaskStage.CODEX_TASK_STAGE_IMPLEMENTATION, prompt="small", delivery_id=f"small-{uuid4()}"
    )
    answer = json.loads(intake.post("/codex/tasks", task.SerializeToString(), authorised()).data)
    (row,) = stage.rows("SELECT payload FROM codex_kb.ideas WHERE id = %(task)s", UUID(answer["ideaId"]))
    assert row["payload"]["issuedAt"] is None
    assert row["payload"]["issueNumber"] == "0"
    assert row["payload"]["base"] == ""
    assert "reviewContext" not in row["payload"]


def test_what_cannot_be_a_delivery_is_refused_in_the_earlier_systems_words(intake: Function) -> None:
    planning = example(stage=CodexTaskStage.CODEX_TASK_STAGE_PLANNING)
    refused = [
        (b"", 400, "empty payload"),
        (b"\x0a", 400, "invalid payload"),
        (b"\x12\x02\xff\xfe", 400, "invalid payload"),
        (planning, 400, "unsupported codex stage"),
        (example(stage=99), 400, "unsupported codex stage"),
        (example(delivery_id="  "), 422, "missing delivery_id"),
        (example(delivery_id=f"empty-{uuid4()}", prompt=" "), 422, "prompt is empty: say what the task is to do"),
    ]
    for body, status, words in refused:
        answer = intake.post("/codex/tasks", body, authorised())
        assert (answer.status, json.loads(answer.data)["error"]) == (status, words)


def test_a_null_character_in_a_delivery_is_refused_for_ever(intake: Function) -> None:
    body = example(delivery_id=f"nul-{uuid4()}", issue_title="nul \x00 here")
    assert intake.post("/codex/tasks", body, authorised()).status == 422


def test_a_caller_without_the_scope_is_refused(stage: Stage, intake: Function, folder: Path) -> None:
    assert intake.post("/codex/tasks", example(), authorised(READ_ONLY_TOKEN)).status == 403


def test_many_deliveries_of_one_issue_at_the_same_moment_are_all_accepted(intake: Function, stage: Stage) -> None:
    """Their runs differ; the idea and the task behind them are the same rows."""
    statuses: list[int] = []
    for _ in range(5):
        number = uuid4().int % 2**40
        bodies = [example(delivery_id=f"race-{uuid4()}", issue_number=number) for _ in range(8)]
        start = threading.Barrier(8)

        def send(body: bytes, start: threading.Barrier = start) -> None:
            start.wait()
            statuses.append(intake.post("/codex/tasks", body, authorised()).status)

        threads = [threading.Thread(target=send, args=(body,)) for body in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == [202] * 40


# --- tasks as JSON


def test_a_json_task_is_answered_with_everything_its_caller_needs(intake: Function, broker: Sink) -> None:
    answer = submit(intake, None, {"prompt": "do it"})
    document = json.loads(answer.data)
    task = document["taskId"]
    assert answer.status == 202
    assert document == {
        "taskId": task,
        "status": "accepted",
        "callback": {
            "url": f"http://callback.test/v1/codex/tasks/{task}/events",
            "token": document["callback"]["token"],
        },
        "memoryEndpoint": {"url": f"http://memory.test/v1/codex/tasks/{task}/memory"},
        "links": {
            "self": f"/v1/codex/tasks/{task}",
            "timeline": f"/v1/codex/tasks/{task}/timeline",
            "cancel": f"/v1/codex/tasks/{task}/cancel",
        },
        "duplicate": False,
    }
    assert check_task_token([TOKEN_SECRET], UUID(task), document["callback"]["token"], Scope.TASK) == 1
    until(lambda: broker.events)
    assert [(event.type, event.subject) for event in broker.events] == [("ai.proompteng.codex.task.accepted.v1", task)]
    assert b"do it" not in (broker.events[0].data or b"")


def test_the_same_key_and_body_are_answered_with_the_same_bytes(intake: Function, broker: Sink) -> None:
    key = str(uuid4())
    first = submit(intake, key, {"prompt": "once", "tags": ["a"]})
    again = submit(intake, key, b'{ "tags": ["a"],  "prompt": "once" }')
    assert (first.status, again.status) == (202, 200)
    assert again.data == first.data
    assert again.headers["Idempotent-Replay"] == "true"
    assert "Idempotent-Replay" not in first.headers
    until(lambda: broker.events)
    assert broker.types() == ["task.accepted.v1"]


def test_the_same_key_with_another_body_is_a_conflict(intake: Function) -> None:
    key = str(uuid4())
    submit(intake, key, {"prompt": "this"})
    answer = submit(intake, key, {"prompt": "that"})
    assert answer.status == 409
    assert json.loads(answer.data)["type"] == "urn:facteur:problem:conflict"


def test_the_key_may_stand_in_the_body(intake: Function) -> None:
    body = {"prompt": "once", "idempotencyKey": str(uuid4())}
    first, again = submit(intake, None, body), submit(intake, None, body)
    assert (again.status, again.data) == (200, first.data)
    assert submit(intake, None, body | {"idempotencyKey": "x" * 256}).status == 400
    assert submit(intake, "x" * 256, {"prompt": "long key"}).status == 400


@pytest.mark.parametrize("key", [b"schl\xc3\xbcssel", b"\xfc", b"", b"a\tb", b"x" * 256])
def test_a_key_that_would_not_arrive_as_it_was_sent_is_refused(intake: Function, key: bytes) -> None:
    """The server passes some of them on as empty: each task of such a client would be new."""
    connection = http.client.HTTPConnection(intake.url.removeprefix("http://"), timeout=PATIENCE)
    headers: dict[str, str | bytes] = {**authorised(), "Idempotency-Key": key}
    connection.request("POST", "/v1/codex/tasks", b'{"prompt": "once"}', headers)
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["type"]) == (400, "urn:facteur:problem:malformed")
    connection.close()


def test_a_whole_number_with_a_fraction_of_nothing_is_the_same_task(intake: Function) -> None:
    key = str(uuid4())
    first = submit(intake, key, b'{"prompt": "x", "priority": 1, "metadata": {"ratio": 1.5}}')
    again = submit(intake, key, b'{"prompt": "x", "priority": 1.0, "metadata": {"ratio": 1.5}}')
    assert (first.status, again.status, again.data) == (202, 200, first.data)


def test_the_same_key_of_two_callers_is_two_tasks(intake: Function) -> None:
    key = str(uuid4())
    mine = submit(intake, key, {"prompt": "same"})
    theirs = submit(intake, key, {"prompt": "same"}, COLLEAGUE_TOKEN)
    assert (mine.status, theirs.status) == (202, 202)
    assert json.loads(mine.data)["taskId"] != json.loads(theirs.data)["taskId"]


def test_without_a_key_every_task_is_new(intake: Function) -> None:
    answers = [submit(intake, None, {"prompt": "again"}) for _ in range(2)]
    assert [answer.status for answer in answers] == [202, 202]
    assert answers[0].data != answers[1].data


def test_eight_first_requests_with_one_key_are_one_task(stage: Stage, broker: Sink, folder: Path) -> None:
    """A function that has just started: its drivers are imported by eight threads at once."""
    env = settings(stage.dsn, broker.url, folder)
    answers: list[Any] = []
    with running("codex-intake", env, folder / "log-race") as function:
        key, start = str(uuid4()), threading.Barrier(8)

        def send() -> None:
            start.wait()
            answers.append(submit(function, key, {"prompt": "race"}))

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answer.status for answer in answers) == [200] * 7 + [202]
    assert len({answer.data for answer in answers}) == 1
    until(lambda: broker.events)
    assert broker.types() == ["task.accepted.v1"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"prompt": " "}, 422),
        ({"prompt": "x" * 1_000_001}, 422),
        ({"prompt": "x", "deadlineSeconds": 0}, 400),
        ({"prompt": "x", "deadlineSeconds": 86_401}, 400),
        ({"prompt": "x", "priority": 40_000}, 400),
        ({"prompt": "x", "mode": "magic"}, 400),
        ({"prompt": "x", "stage": "CODEX_TASK_STAGE_IMPLEMENTATION"}, 400),
        ({"prompt": "x", "targets": [{"kind": "Pod"}]}, 400),
        ({"prompt": "x", "unknown": 1}, 400),
        ({"prompt": "x", "metadata": {"deep": json.loads("[" * 80 + "]" * 80)}}, 400),
        (b'{"prompt": "x", "metadata": {"n": NaN}}', 400),
        (rb'{"prompt": "x\ud800"}', 400),
        (rb'{"prompt": "x\u0000"}', 400),
        (b'{"prompt": "\xff"}', 400),
    ],
)
def test_a_task_out_of_bounds_is_refused_once_and_for_all(intake: Function, body: Any, status: int) -> None:
    assert submit(intake, None, body).status == status


def test_text_that_speaks_of_the_null_escape_is_text(intake: Function) -> None:
    r"""`\\u0000` in JSON is a backslash and a word: source code that a task may well be about."""
    assert submit(intake, None, rb'{"prompt": "why does jsonb refuse \\u0000 ?"}').status == 202


# --- tasks as events


def requested(**data: Any) -> Event:
    body = json.dumps({"prompt": "asked by an event", **data}).encode()
    return Event(str(uuid4()), "/tests/nightly", TASK_REQUESTED, datacontenttype="application/json", data=body)


def test_an_event_asks_for_a_task_once_in_either_mode(intake: Function, stage: Stage, broker: Sink) -> None:
    event = requested()
    binary = intake.deliver(event)
    structured = intake.post("/", codec.to_json(event), {"Content-Type": "application/cloudevents+json"})
    assert [(answer.status, answer.data) for answer in (binary, structured)] == [(204, b""), (204, b"")]
    task = run_id(event_delivery(event.source, event.id))
    (row,) = stage.rows("SELECT prompt, caller, status FROM codex_kb.codex_tasks WHERE id = %(task)s", task)
    assert row == {"prompt": "asked by an event", "caller": "/tests/nightly", "status": "accepted"}
    until(lambda: broker.events)
    assert [event.subject for event in broker.events] == [str(task)]


def test_an_event_whose_data_is_no_utf_8_is_refused_for_ever(intake: Function) -> None:
    event = Event(
        str(uuid4()), "/tests", TASK_REQUESTED, datacontenttype="application/json", data=b'{"prompt": "\xff"}'
    )
    assert intake.deliver(event).status == 400


def test_the_trace_of_an_event_goes_on_in_what_it_causes(intake: Function, broker: Sink) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    event = requested()
    traced = Event(
        event.id,
        event.source,
        event.type,
        datacontenttype="application/json",
        extensions={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"},
        data=event.data,
    )
    assert intake.deliver(traced).status == 204
    until(lambda: broker.events)
    assert broker.events[0].extensions["traceparent"].split("-")[1] == trace


def test_dead_letters_are_kept_with_their_cause_and_counted(intake: Function, stage: Stage) -> None:
    event = Event(
        str(uuid4()),
        "/tests",
        "some.type",
        extensions={"knativeerrordest": "http://nowhere", "knativeerrorcode": "422", "knativeerrordata": "bm8="},
        data=b"\x00binary",
    )
    for _ in range(2):
        headers, body = codec.encode(event)
        answer = intake.post("/dead-letters", body, headers)
        assert (answer.status, answer.data) == (204, b"")
    (row,) = stage.rows("SELECT * FROM codex_kb.dead_letters WHERE event_id = %(id)s", id=event.id)
    assert (row["destination"], row["error_code"], row["error_data"]) == ("http://nowhere", "422", "bm8=")
    assert row["times_seen"] == 2
    assert codec.from_json(row["event"].encode()).data == event.data


def test_a_dead_letter_may_be_as_large_as_headers_allow(intake: Function, stage: Stage) -> None:
    noise = token_hex(4000)
    event = Event(
        str(uuid4()), f"/{noise}", "some.type", extensions={"knativeerrordest": noise, "knativeerrordata": "%"}
    )
    for _ in range(2):
        headers, body = codec.encode(event)
        assert intake.post("/dead-letters", body, headers).status == 204
    (row,) = stage.rows("SELECT times_seen FROM codex_kb.dead_letters WHERE event_id = %(id)s", id=event.id)
    assert row["times_seen"] == 2


# --- Kafka records that come by the broker


def record(body: bytes) -> Event:
    """What a KafkaSource makes of a record of the earlier system."""
    source = "/apis/v1/namespaces/facteur/kafkasources/codex#github.issues.codex.tasks"
    own = {"key": "issue-1635-implementation", "kafkaheaderxgithubdelivery": "1635"}
    return Event(
        f"partition:0/offset:{uuid4().int}",
        source,
        KAFKA_RECORD,
        subject="partition:0#7",
        datacontenttype="application/x-protobuf",
        extensions=own,
        data=body,
    )


def test_a_kafka_record_is_a_delivery_of_its_task(intake: Function, stage: Stage, broker: Sink) -> None:
    name = f"delivery-{uuid4()}"
    event = record(example(delivery_id=name))
    assert [intake.deliver(event).status, intake.deliver(record(event.data or b"")).status] == [204, 204]
    (row,) = stage.rows("SELECT caller, tenant FROM codex_kb.codex_tasks WHERE id = %(task)s", run_id(name))
    assert row == {"caller": event.source, "tenant": "default"}
    until(lambda: broker.events)
    assert [event.subject for event in broker.events] == [str(run_id(name))]


@pytest.mark.parametrize("body", [b"", b"not a protobuf", b"\xff" * 100])
def test_a_kafka_record_that_is_no_task_is_refused_for_ever(intake: Function, body: bytes) -> None:
    assert intake.deliver(record(body)).status == 400


# --- looking at tasks


def test_status_and_timeline_are_for_the_tenant_alone(intake: Function) -> None:
    task = json.loads(submit(intake, None, {"prompt": "look at me", "tags": ["x"]}).data)["taskId"]
    for path in (f"/v1/codex/tasks/{task}", f"/v1/codex/tasks/{task}/timeline"):
        assert intake.get(path, authorised()).status == 200
        assert intake.get(path, authorised(COLLEAGUE_TOKEN)).status == 200
        assert intake.get(path, authorised(STRANGER_TOKEN)).status == 404
        assert intake.get(path).status == 401
        assert intake.get(path.replace(task, str(uuid4())), authorised()).status == 404
    shown = json.loads(intake.get(f"/v1/codex/tasks/{task}", authorised()).data)
    assert (shown["taskId"], shown["status"], shown["tags"], shown["caller"]) == (task, "accepted", ["x"], "tests")
    assert shown["acceptedAt"].endswith("Z")
    entries = json.loads(intake.get(f"/v1/codex/tasks/{task}/timeline", authorised()).data)["entries"]
    assert [entry["what"] for entry in entries] == ["accepted"]
    assert intake.get("/v1/codex/tasks/not-an-id", authorised()).status == 404


# --- a broker that is away


def test_a_broker_that_refuses_changes_nothing_for_the_caller(intake: Function, stage: Stage, broker: Sink) -> None:
    broker.status = 503
    answer = submit(intake, None, {"prompt": "the broker is away"})
    assert answer.status == 202
    assert stage.outbox(UUID(json.loads(answer.data)["taskId"])) == ["task.accepted.v1"]


def test_a_broker_that_took_the_event_leaves_nothing_in_the_outbox(intake: Function, stage: Stage) -> None:
    answer = submit(intake, None, {"prompt": "the broker is here"})
    until(lambda: stage.outbox(UUID(json.loads(answer.data)["taskId"])) == [])


def test_a_slow_broker_does_not_make_the_caller_wait_for_it(intake: Function, stage: Stage, broker: Sink) -> None:
    broker.open.clear()
    before = broker.came
    # Answered before the broker has answered: that comes below.
    answer = submit(intake, None, {"prompt": "the broker is slow"})
    assert answer.status == 202
    until(lambda: broker.came > before)
    assert broker.events == []
    assert stage.outbox(UUID(json.loads(answer.data)["taskId"])) == ["task.accepted.v1"]
    broker.open.set()
    until(lambda: broker.events)  # It had the event all the same; the relay's repeat will be harmless.
    stage.clear_outbox()


def test_a_request_after_the_broker_is_gone_for_good_is_accepted(stage: Stage, folder: Path) -> None:
    env = settings(stage.dsn, f"http://127.0.0.1:{free_port()}", folder)
    with running("codex-intake", env, folder / "log-no-broker") as function:
        assert submit(function, None, {"prompt": "no broker at all"}).status == 202
        assert HTTP.request("GET", f"{function.url}/readyz").status == 200
    stage.clear_outbox()
