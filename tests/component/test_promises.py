"""What every function promises, checked for each of the six."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import urllib3

from shared.domain.task_token import mint_task_token
from shared.events.catalogue import (
    JOB_CHANGED,
    KAFKA_RECORD,
    PING,
    TASK_REQUESTED,
    RunLaunched,
    RunReported,
    TaskAccepted,
    TaskCancelRequested,
    TaskFinished,
    TaskPrepared,
)
from shared.events.event import Event
from shared.events.protobuf.proompteng.froussard.v1.codex_task_pb2 import CODEX_TASK_STAGE_IMPLEMENTATION, CodexTask
from shared.local.state import free_port
from shared.postgres.migrations import shipped
from tests.component.conftest import in_flight
from tests.component.functions import (
    API_TOKEN,
    DISCORD,
    FUNCTIONS,
    HTTP,
    TOKEN_SECRET,
    Function,
    authorised,
    await_health,
    running,
    settings,
    sink,
    start,
)
from tests.patience import PATIENCE

TASK = uuid4()
TOKEN = mint_task_token(TOKEN_SECRET, TASK, 1)

# Method, path and headers of the requests of each function that read a body.
BODIES: dict[str, list[tuple[str, dict[str, str]]]] = {
    "codex-intake": [
        ("/codex/tasks", authorised()),
        ("/v1/codex/tasks", authorised()),
        ("/", {}),
        ("/dead-letters", {}),
    ],
    "dispatcher": [("/", {})],
    "embedder": [("/", {})],
    "callback": [
        (f"/v1/codex/tasks/{TASK}/events", authorised(TOKEN)),
        (f"/v1/codex/tasks/{TASK}/artifacts", authorised(TOKEN)),
    ],
    "memory-query": [],
    "discord-interaction": [],
}

EVENTS: dict[str, list[str]] = {
    "codex-intake": [TASK_REQUESTED, KAFKA_RECORD],
    "dispatcher": [TaskPrepared.type, TaskCancelRequested.type, JOB_CHANGED, PING],
    "embedder": [TaskAccepted.type, RunLaunched.type, RunReported.type, TaskFinished.type, PING],
}

RECORD = CodexTask(
    stage=CODEX_TASK_STAGE_IMPLEMENTATION, delivery_id="d", prompt="p", repository="o/r", issue_number=1
).SerializeToString()

GUARDED = {
    "codex-intake": ["/codex/tasks", "/v1/codex/tasks", f"/v1/codex/tasks/{TASK}/cancel"],
    "callback": [f"/v1/codex/tasks/{TASK}/events", f"/v1/codex/tasks/{TASK}/artifacts"],
    "memory-query": [f"/v1/codex/tasks/{TASK}/memory/query"],
    "discord-interaction": ["/interactions"],
}


@pytest.fixture(scope="module", params=FUNCTIONS)
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Function]]:
    """Each function with everything it needs away: no database, no Redis, no broker."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "jobs").mkdir()
    nowhere = "postgresql://facteur:a-database-password@127.0.0.1:1/nothing"
    env = settings(nowhere, "http://127.0.0.1:1", folder)
    with running(request.param, env, folder / "log") as function:
        yield request.param, function


def bodies() -> list[bytes]:
    deep = b'{"prompt": ' + b"[" * 100_000
    return [b"", b"\xff\xfe", b"not json", b"[]", b"null", b'{"prompt": 5}', b'{"prompt": "a\\u0000b"}', deep]


def test_a_malformed_body_is_4xx_and_nothing_of_it_is_echoed(alone: tuple[str, Function]) -> None:
    name, function = alone
    for path, headers in BODIES[name]:
        for body in [*bodies(), b'{"echo-me-9d1f": 1}']:
            answer = function.post(path, body, headers)
            assert 400 <= answer.status < 500, (path, body[:30], answer.status)
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert b"echo-me-9d1f" not in answer.data


def test_a_body_over_the_limit_is_refused_while_it_is_read(alone: tuple[str, Function]) -> None:
    name, function = alone
    for path, headers in BODIES[name]:
        assert function.post(path, b"x" * (1024 * 1024 + 1), headers).status == 413
        chunks = (b"x" * 65536 for _ in range(32))
        closing = {**headers, "Connection": "close"}
        answer = HTTP.request("POST", function.url + path, body=chunks, headers=closing, chunked=True)
        assert answer.status == 413


def test_headers_over_the_limit_are_refused(alone: tuple[str, Function]) -> None:
    _, function = alone
    assert function.get("/healthz", {"X-Padding": "x" * 20_000}).status == 200
    # It closes as soon as there is too much, and may do so before its answer was read.
    with contextlib.suppress(urllib3.exceptions.ProtocolError):
        assert function.get("/healthz", {"X-Padding": "x" * 40_000}).status == 431


def test_a_missing_and_a_wrong_token_look_the_same(alone: tuple[str, Function]) -> None:
    name, function = alone
    for path in GUARDED.get(name, []):
        other = mint_task_token("another key that is long enough, really", TASK, 1)
        attempts = [{}, authorised("wrong"), authorised(other), {"Authorization": "Basic eDp5"}]
        answers = [function.post(path, b"{}", headers) for headers in attempts]
        assert {answer.status for answer in answers} == {401}
        details = {json.loads(answer.data)["detail"] if answer.data else "" for answer in answers}
        assert len(details) == 1


def test_unknown_paths_and_methods_are_told_apart(alone: tuple[str, Function]) -> None:
    _, function = alone
    assert function.get("/nothing/here").status == 404
    wrong = function.post("/healthz")
    assert wrong.status == 405
    assert "GET" in wrong.headers["Allow"]


def test_an_event_of_a_type_without_handler_is_refused_for_ever(alone: tuple[str, Function]) -> None:
    name, function = alone
    if name in EVENTS:
        assert function.deliver(Event("1", "/test", "some.other.type")).status == 422


def test_an_event_without_fitting_data_is_refused_for_ever(alone: tuple[str, Function]) -> None:
    name, function = alone
    for event_type in EVENTS.get(name, []):
        if event_type != PING:
            event = Event("1", "/test", event_type, datacontenttype="application/json", data=b'{"other": 1}')
            assert function.deliver(event).status == 400, event_type


def test_a_database_that_is_away_is_503_with_retry_after(alone: tuple[str, Function]) -> None:
    name, function = alone
    for event_type in EVENTS.get(name, []):
        data = {"taskId": str(TASK), "attempt": 1, "sequence": 1, "resource": "r", "status": "s", "prompt": "p"}
        data |= {"kind": "Job", "name": "n"} if event_type == JOB_CHANGED else {}
        data = {"prompt": "p"} if event_type == TASK_REQUESTED else data
        body = RECORD if event_type == KAFKA_RECORD else json.dumps(data).encode()
        kind = "application/x-protobuf" if event_type == KAFKA_RECORD else "application/json"
        event = Event("1", "/test", event_type, datacontenttype=kind, data=body)
        answer = function.deliver(event)
        assert answer.status == 503, (event_type, answer.data)
        assert int(answer.headers["Retry-After"]) >= 1


def test_health_is_up_and_readiness_tells_the_truth(alone: tuple[str, Function]) -> None:
    name, function = alone
    assert json.loads(function.get("/healthz").data) == {"status": "ok"}
    expected = 200 if name == "discord-interaction" else 503
    assert function.get("/readyz").status == expected


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_new_release_is_not_ready_before_its_migration_has_run(name: str, dsn: str, tmp_path: Path) -> None:
    last = shipped()[-1][0]
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("DELETE FROM public.facteur_migrations WHERE name = %s", [last])
    with running(name, settings(dsn, "http://127.0.0.1:1", tmp_path), tmp_path / "log") as function:
        early = function.get("/readyz")
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute("INSERT INTO public.facteur_migrations (name, sha256) VALUES (%s, '')", [last])
        assert function.get("/readyz").status == 200
    # An acknowledgement of Discord's needs no database.
    assert early.status == (200 if name == "discord-interaction" else 503)


def test_no_secret_reaches_a_log_or_an_answer(alone: tuple[str, Function]) -> None:
    _, function = alone
    text = function.log.read_text()
    for secret in (API_TOKEN, TOKEN_SECRET, TOKEN, "a-database-password", DISCORD.encode().hex()):
        assert secret not in text
    for line in text.splitlines():
        assert {"time", "level", "service", "message"} <= json.loads(line).keys()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_missing_setting_is_named_at_once_and_the_start_fails(name: str, tmp_path: Path) -> None:
    env = {"K_SINK": "not a url", "FACTEUR_DISCORD_PUBLIC_KEY": "short", "FACTEUR_TOKEN_SECRET": "short"}
    function = start(name, env, tmp_path / "log")
    assert function.process.wait(PATIENCE) == 2
    said = (tmp_path / "log").read_text()
    assert said.startswith(f"{name}: ")
    assert said.count("\n") == 1
    assert said.count(";") >= 1 or name == "discord-interaction"


def test_a_taken_port_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        env = settings("postgresql://x@127.0.0.1:1/x", "http://127.0.0.1:1", tmp_path)
        function = start("callback", env, tmp_path / "log", port)
        assert function.process.wait(PATIENCE) == 2
    assert f"cannot listen on 127.0.0.1:{port}" in (tmp_path / "log").read_text()


def test_a_request_in_flight_is_finished_when_the_function_is_told_to_stop(dsn: str, tmp_path: Path) -> None:
    with sink() as broker:
        function = start("codex-intake", settings(dsn, broker.url, tmp_path), tmp_path / "log")
        await_health(function)
        with in_flight(function, dsn) as answers:
            function.process.send_signal(signal.SIGTERM)
        assert function.process.wait(PATIENCE) == 0
        assert answers == [202]


def test_half_open_requests_do_not_stall_a_function(dsn: str, tmp_path: Path) -> None:
    with sink() as broker, running("codex-intake", settings(dsn, broker.url, tmp_path), tmp_path / "log") as function:
        port = int(function.url.rpartition(":")[2])
        half_open = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        for connection in half_open:
            connection.sendall(b"POST /v1/codex/tasks HTTP/1.1\r\nHost: x\r\n")
        assert function.get("/healthz").status == 200
        for connection in half_open:
            connection.close()


def test_the_functions_framework_serves_a_function_too(dsn: str, tmp_path: Path) -> None:
    """`functions-framework --target handle --source …` is what users of the framework type."""
    port = free_port()
    env = {**os.environ, **settings(dsn, "http://127.0.0.1:1", tmp_path)}
    command = [sys.executable, "-m", "functions_framework", "--target", "handle", "--port", str(port)]
    command += ["--host", "127.0.0.1", "--source", "functions/callback/main.py"]
    with (tmp_path / "log").open("ab") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        await_health(Function(f"http://127.0.0.1:{port}", process, tmp_path / "log"))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
