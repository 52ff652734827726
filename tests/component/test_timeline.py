"""The timeline as a stream: no entry is missed and none comes twice, whatever restarts or commits late."""

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.domain.report import End, Report
from shared.domain.run import RunState
from shared.local.state import free_port
from shared.postgres.database import Database
from shared.postgres.reports import PgReports
from shared.postgres.scratch import scratch_database
from tests.component.conftest import STRANGER_TOKEN, Stage, api_tokens, in_flight, until
from tests.component.functions import (
    API_TOKEN,
    Function,
    Sink,
    authorised,
    await_health,
    end,
    running,
    settings,
    sink,
    start,
)
from tests.component.streams import Told, follow
from tests.patience import PATIENCE

DONE = End(RunState.SUCCEEDED, "", "all done")


@pytest.fixture(scope="module")
def intake(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    env = settings(stage.dsn, module_sink.url, folder) | {"FACTEUR_API_TOKENS": api_tokens()}
    with running("codex-intake", env, folder / "log") as function:
        yield function


def report(stage: Stage, task: UUID, number: int, last: bool = False) -> None:
    kind = "completed" if last else "progress"
    batch = [Report(f"e{number}", number, kind, f"line one\nline two of {number}")]
    PgReports(stage.database).record(task, 1, batch, DONE if last else None, None)
    stage.clear_outbox()


def whole(function: Function, task: UUID) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]]
    entries = json.loads(function.get(f"/v1/codex/tasks/{task}/timeline", authorised()).data)["entries"]
    return entries


def test_a_stream_tells_what_has_happened_and_then_what_happens(intake: Function, stage: Stage) -> None:
    task, _ = stage.launch()
    with follow(intake.url, task) as stream:
        assert (stream.status, stream.headers["Content-Type"]) == (200, "text/event-stream")
        assert (stream.headers["Cache-Control"], stream.headers["X-Accel-Buffering"]) == ("no-store", "no")
        assert [stream.next().event for _ in range(2)] == ["accepted", "launched"]
        assert stream.retry == 2000
        for number in (1, 2):
            report(stage, task, number)
            sent = time.monotonic()
            assert stream.next().data["detail"]["content"] == f"line one\nline two of {number}"
            assert time.monotonic() - sent < 3
        report(stage, task, 3, last=True)
        assert [told.event for told in stream] == ["completed", "succeeded"]


def test_a_stream_that_is_over_is_not_begun_again(intake: Function, stage: Stage) -> None:
    task, _ = stage.launch()
    report(stage, task, 1, last=True)
    with follow(intake.url, task) as stream:
        told = list(stream)
    assert [one.data for one in told] == whole(intake, task)
    with follow(intake.url, task, told[-1].id) as stream:
        assert (stream.status, stream.body()) == (204, b"")
    with follow(intake.url, task, told[1].id) as stream:
        assert list(stream) == told[2:]
    with follow(intake.url, task, query=f"?lastEventId={told[1].id}") as stream:
        assert list(stream) == told[2:]
    with follow(intake.url, task, told[2].id, query=f"?lastEventId={told[0].id}") as stream:
        assert list(stream) == told[3:]


def test_what_is_remembered_after_the_end_is_told_to_whoever_comes_back(intake: Function, stage: Stage) -> None:
    task, _ = stage.launch("remember this")
    report(stage, task, 1, last=True)
    with follow(intake.url, task) as stream:
        told = list(stream)
    stage.embed(task)
    with follow(intake.url, task, told[-1].id) as stream:
        later = list(stream)
    assert {one.event for one in later} == {"remembered"}
    assert [one.data for one in told + later] == whole(intake, task)


@pytest.mark.parametrize(
    "wrong",
    [
        "x",
        "0",
        "-" * 9,
        "A" * 5000,
        "MC4wLjAu=",
        "MS4yLjMuJw",
        "OTk5OTk5OTk5OTk5OTk5OTk5OTkuMC4wLg",
        "%00",
        "MC4wLjAu..",
    ],
)
def test_an_id_that_no_stream_has_sent_is_400_and_not_echoed(intake: Function, stage: Stage, wrong: str) -> None:
    task = stage.accept()
    with follow(intake.url, task, wrong) as stream:
        assert stream.status == 400
        assert stream.headers["Content-Type"] == "application/problem+json"
        assert b"must be one that this stream has sent" in stream.body()


def test_a_stream_is_for_the_tenant_alone(intake: Function, stage: Stage) -> None:
    task = stage.accept()
    for wanted, token, status in ((task, STRANGER_TOKEN, 404), (uuid4(), API_TOKEN, 404), (task, "wrong", 401)):
        with follow(intake.url, wanted, token=token) as stream:
            assert stream.status == status


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html", "application/json, text/event-stream"])
def test_whoever_does_not_ask_for_a_stream_gets_json(intake: Function, stage: Stage, accept: str) -> None:
    answer = intake.get(f"/v1/codex/tasks/{stage.accept()}/timeline", authorised(Accept=accept))
    assert [entry["what"] for entry in json.loads(answer.data)["entries"]] == ["accepted"]


def note(connection: psycopg.Connection, task: UUID, content: str) -> None:
    """One report, in a transaction of the test's own."""
    connection.execute(
        "INSERT INTO codex_kb.codex_task_events (task_id, attempt, event_id, sequence, event_type, content) "
        "VALUES (%s, 1, %s, 1, 'log', to_jsonb(%s::text))",
        (task, str(uuid4()), content),
    )


def said(entries: Sequence[Any]) -> list[str | None]:
    return [entry["detail"].get("content") for entry in entries]


def test_what_commits_late_comes_before_what_waited_for_it(intake: Function, stage: Stage) -> None:
    task, _ = stage.launch()
    with follow(intake.url, task) as stream, psycopg.connect(stage.dsn) as slow:
        assert [stream.next().event for _ in range(2)] == ["accepted", "launched"]
        note(slow, task, "slow")
        with psycopg.connect(stage.dsn) as quick:
            note(quick, task, "quick")
        assert said(whole(intake, task)) == [None, None, "quick"]
        time.sleep(2.5)  # more than two polls, in which nothing may be told
        slow.commit()
        assert said([stream.next().data for _ in range(2)]) == ["slow", "quick"]
    assert said(whole(intake, task)) == [None, None, "slow", "quick"]


class Reader(threading.Thread):
    """Follows a task to its end, and comes back with the last id whenever it is cut off."""

    def __init__(self, url: str, task: UUID) -> None:
        super().__init__()
        self.told: list[Told] = []
        self.cut_off = 0
        self._url, self._task = url, task

    def run(self) -> None:
        over = False
        while not over:
            last = self.told[-1].id if self.told else None
            with suppress(ConnectionError, HTTPException), follow(self._url, self._task, last) as stream:
                over = stream.status == 204
                for told in stream:
                    self.told.append(told)
            self.cut_off += 1
            time.sleep(0.1)


def write(dsn: str, task: UUID, writer: int, stop: threading.Event) -> None:
    """Reports in transactions that stay open for a while, so that they commit in another order than they began."""
    pauses = itertools.cycle([0.0, 0.15, 0.03, 0.2, 0.07][writer:])
    with psycopg.connect(dsn, autocommit=True) as connection:
        while not stop.is_set():
            with connection.transaction():
                note(connection, task, f"first of writer {writer}")
                note(connection, task, f"second of writer {writer}")
                time.sleep(next(pauses))


def test_streams_go_on_over_restarts_without_gap_or_repeat(stage: Stage, broker: Sink, folder: Path) -> None:
    task, _ = stage.launch()
    env, port, log = settings(stage.dsn, broker.url, folder), free_port(), folder / "log-restarts"
    function = start("codex-intake", env, log, port)
    await_health(function)
    stop = threading.Event()
    writers = [threading.Thread(target=write, args=(stage.dsn, task, number, stop)) for number in range(4)]
    readers = [Reader(function.url, task) for _ in range(3)]
    for thread in [*writers, *readers]:
        thread.start()
    try:
        for signalled in (True, False):
            told = [len(reader.told) for reader in readers]
            until(lambda told=told: all(len(reader.told) > n for reader, n in zip(readers, told, strict=True)))  # type: ignore[misc]
            time.sleep(1.5)
            if signalled:
                assert end(function) == 0
            else:
                kill(function)
            function = start("codex-intake", env, log, port)
            await_health(function)
        until(lambda: len(whole(function, task)) > 50)
    finally:
        stop.set()
        for thread in writers:
            thread.join()
        report(stage, task, 10_000, last=True)
        for reader in readers:
            reader.join()
    entries = whole(function, task)
    assert end(function) == 0
    assert len(entries) > 50
    for reader in readers:
        assert reader.cut_off >= 2
        assert [told.data for told in reader.told] == entries


def kill(function: Function) -> None:
    os.killpg(function.process.pid, signal.SIGKILL)
    function.process.wait(PATIENCE)


@pytest.fixture
def fresh(stage: Stage, broker: Sink, folder: Path) -> Iterator[Function]:
    """A function without streams that other tests have left."""
    with running("codex-intake", settings(stage.dsn, broker.url, folder), folder / "log-fresh") as function:
        yield function


def test_eight_streams_are_open_at_once_and_the_ninth_is_told_to_wait(fresh: Function, stage: Stage) -> None:
    """Idle ones, whose clients leave without a word: the next heartbeat notices."""
    task, intake = stage.accept(), fresh
    with follow(intake.url, task) as last:
        with ExitStack() as open_streams:
            streams = [last, *(open_streams.enter_context(follow(intake.url, task)) for _ in range(7))]
            assert [stream.next().event for stream in streams] == ["accepted"] * 8
            with follow(intake.url, task) as ninth:
                assert (ninth.status, int(ninth.headers["Retry-After"]) > 0) == (503, True)
            # Five connections are all that the pool has: eight streams cannot be holding one each.
            assert [entry["what"] for entry in whole(intake, task)] == ["accepted"]
            assert intake.post("/v1/codex/tasks", b'{"prompt": "beside streams"}', authorised()).status == 202

        def free() -> bool:
            with follow(intake.url, task) as stream:
                return stream.status == 200

        until(free)
        # As old as those that were left: it has not had two heartbeats since.
        cancel(intake, task)
        assert [told.event for told in last] == ["cancel requested", "canceled"]
        assert len(last.comments) <= 1


def test_a_quiet_stream_says_that_it_is_there(intake: Function, stage: Stage) -> None:
    task = stage.accept()
    began = time.monotonic()
    with follow(intake.url, task) as stream:
        assert stream.next().event == "accepted"
        stream.remark()
        assert 15 < time.monotonic() - began < 16.5
        cancel(intake, task)
        assert [told.event for told in stream] == ["cancel requested", "canceled"]
        assert len(stream.comments) == 1


def cancel(intake: Function, task: UUID) -> None:
    intake.post(f"/v1/codex/tasks/{task}/cancel", b"", authorised())


def test_a_function_with_open_streams_stops_at_once_and_finishes_what_it_was_asked(stage: Stage, folder: Path) -> None:
    task = stage.accept()
    with sink() as slow, ExitStack() as open_streams:
        slow.delay = 1.5
        function = start("codex-intake", settings(stage.dsn, slow.url, folder), folder / "log-stop")
        await_health(function)
        streams = [open_streams.enter_context(follow(function.url, task)) for _ in range(8)]
        assert [stream.next().event for stream in streams] == ["accepted"] * 8
        with in_flight(function, stage.dsn) as answers:
            function.process.send_signal(signal.SIGTERM)
            # They end before what is in flight does.
            assert [list(stream) for stream in streams] == [[]] * 8
            assert answers == []
        assert function.process.wait(PATIENCE) == 0
        assert answers == [202]


def test_a_stream_waits_for_a_database_that_is_away(postgres_server: str, migrated_template: str, folder: Path) -> None:
    with scratch_database(postgres_server, migrated_template) as dsn, sink() as broker:
        stage = Stage(dsn, Database(dsn, timeout=PATIENCE))
        task, _ = stage.launch()
        env = settings(dsn, broker.url, folder)
        with running("codex-intake", env, folder / "log-away") as function, follow(function.url, task) as stream:
            assert [stream.next().event for _ in range(2)] == ["accepted", "launched"]
            forbid(postgres_server, dsn, True)
            time.sleep(3)
            forbid(postgres_server, dsn, False)
            report(stage, task, 1)
            assert stream.next().event == "progress"
        stage.database.close()


def forbid(server: str, dsn: str, forbidden: bool) -> None:
    """Ends every connection to the database, and lets nobody in, or lets everybody in again."""
    name = dsn.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {str(not forbidden).lower()}'.encode())
        if forbidden:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
