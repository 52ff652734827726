"""A task comes once, however often and to how many processes of codex-intake it is sent, whatever breaks meanwhile."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import urllib3

from shared.domain.ids import run_id
from shared.local.servers.postgres import Postgres
from shared.postgres.migrations import migrate
from shared.postgres.scratch import scratch_database
from tests.component.conftest import Stage, until
from tests.component.functions import Function, Sink, authorised, running, settings, sink
from tests.component.test_codex_intake import example
from tests.component.wire import Cut, Wire, wire
from tests.integration.postgres.test_together import held
from tests.patience import PATIENCE

AGAIN = {409, 503}
HTTP = urllib3.PoolManager(maxsize=64, retries=False, timeout=PATIENCE)


@dataclass
class Door:
    """One way in: how the delivery `name` is posted, and what its delivery id is."""

    path: str
    body: Callable[[str], bytes]
    headers: Callable[[str], Mapping[str, str]]
    delivery: Callable[[str], str]
    source: Callable[[str], str]

    def post(self, function: Function, name: str) -> urllib3.BaseHTTPResponse:
        return HTTP.request("POST", function.url + self.path, body=self.body(name), headers=self.headers(name))


def number(name: str) -> int:
    """An issue of its own for each delivery."""
    return run_id(name).int % 2**40


JSON = Door(
    "/v1/codex/tasks",
    lambda name: json.dumps({"prompt": f"do {name}"}).encode(),
    lambda name: authorised(**{"Idempotency-Key": name}),
    lambda name: f"http:tests:{name}",
    lambda name: f"http:tests:{name}",
)
PROTOBUF = Door(
    "/codex/tasks",
    lambda name: example(delivery_id=name, issue_number=number(name)),
    lambda name: authorised(),
    lambda name: name,
    lambda name: f"proompteng/lab#{number(name)}",
)
DOORS = pytest.mark.parametrize("door", [JSON, PROTOBUF], ids=["json", "protobuf"])


@pytest.fixture(scope="module")
def intakes(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[list[Function]]:
    """Three processes on one database."""
    with ExitStack() as stack:
        env = settings(stage.dsn, module_sink.url, folder)
        yield [stack.enter_context(running("codex-intake", env, folder / f"log-{n}")) for n in range(3)]


def stored(stage: Stage, door: Door, name: str) -> list[int]:
    """How many ideas, tasks, runs and codex_tasks there are of the delivery."""
    (row,) = stage.rows(
        "SELECT (SELECT count(*) FROM codex_kb.ideas WHERE source_ref = %(source)s) AS ideas, "
        "(SELECT count(*) FROM codex_kb.tasks JOIN codex_kb.ideas ON ideas.id = idea_id "
        "WHERE source_ref = %(source)s) AS tasks, "
        "(SELECT count(*) FROM codex_kb.task_runs WHERE delivery_id = %(delivery)s) AS runs, "
        "(SELECT count(*) FROM codex_kb.codex_tasks WHERE id = %(task)s) AS control",
        run_id(door.delivery(name)),
        source=door.source(name),
        delivery=door.delivery(name),
    )
    return list(row.values())


def announced(stage: Stage, broker: Sink, task: UUID) -> bool:
    """Whether the broker has the event, or will get it from the outbox."""
    waiting = stage.outbox(task)
    return waiting == ["task.accepted.v1"] or [e.type for e in broker.events if e.subject == str(task)] != []


def ids(answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    return {key: value for key, value in json.loads(answer.data).items() if key != "duplicate"}


def patiently(post: Callable[[], urllib3.BaseHTTPResponse]) -> urllib3.BaseHTTPResponse:
    """The first answer that does not ask to try again."""
    deadline = time.monotonic() + PATIENCE
    while (answer := post()).status in AGAIN:
        assert time.monotonic() < deadline, answer.data
        assert int(answer.headers["Retry-After"]) >= 1
        time.sleep(0.1)
    return answer


# --- the same at the same time


@DOORS
def test_sixty_four_at_the_same_moment_to_three_processes_are_one_task(
    intakes: Sequence[Function], stage: Stage, broker: Sink, door: Door
) -> None:
    name, start = f"race-{uuid4()}", threading.Barrier(64)

    def send(n: int) -> urllib3.BaseHTTPResponse:
        start.wait()
        return patiently(lambda: door.post(intakes[n % 3], name))

    with ThreadPoolExecutor(64) as threads:
        answers = list(threads.map(send, range(64)))
    statuses = sorted(answer.status for answer in answers)
    if door is JSON:
        assert statuses == [200] * 63 + [202], "the one that stored it has 202, its replays 200"
        assert len({answer.data for answer in answers}) == 1
    else:
        assert statuses == [202] * 64
        assert len({json.dumps(ids(answer)) for answer in answers}) == 1
        assert sorted(json.loads(answer.data)["duplicate"] for answer in answers) == [False] + [True] * 63
    assert stored(stage, door, name) == [1, 1, 1, 1]
    task = run_id(door.delivery(name))
    until(lambda: stage.heard(broker, task))
    assert [event.subject for event in broker.events] == [str(task)]


# --- connections that break


@pytest.fixture(scope="module")
def cable(stage: Stage) -> Iterator[Wire]:
    with wire(stage.dsn) as cable:
        yield cable


@pytest.fixture(scope="module")
def wired(cable: Wire, module_sink: Sink, folder: Path) -> Iterator[Function]:
    """A process whose way to the database is the cable."""
    with running("codex-intake", settings(cable.dsn, module_sink.url, folder), folder / "log-wired") as function:
        yield function


@DOORS
@pytest.mark.parametrize("cuts", [1, 2])
@pytest.mark.parametrize("when", list(Cut), ids=["before", "after"])
def test_a_connection_that_is_reset_around_the_commit_neither_loses_nor_doubles_a_task(
    wired: Function, cable: Wire, stage: Stage, broker: Sink, door: Door, when: Cut, cuts: int
) -> None:
    """Once is made good by the function itself. Its second try may find what the first has stored: a replay."""
    name = f"reset-{uuid4()}"
    cable.arm(name, when, cuts)
    first = door.post(wired, name)
    assert cable.done == cuts
    if cuts == 1:
        assert first.status == (200 if door is JSON and when is Cut.AFTER else 202)
    else:
        assert (first.status, first.headers["Retry-After"]) == (503, "1")
    again = patiently(lambda: door.post(wired, name))
    assert again.status in (200, 202)
    if cuts == 1:
        assert ids(again) == ids(first)
    assert stored(stage, door, name) == [1, 1, 1, 1]
    assert announced(stage, broker, run_id(door.delivery(name)))


def test_a_group_whose_connection_is_reset_is_stored_whole(wired: Function, cable: Wire, stage: Stage) -> None:
    for when in Cut:
        names = [f"group-{uuid4()}" for _ in range(16)]
        cable.arm("group-", when, 3)
        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(lambda name: patiently(lambda: PROTOBUF.post(wired, name)), names))
        assert {answer.status for answer in answers} == {202}
        assert [json.loads(answer.data)["taskRunId"] for answer in answers] == [str(run_id(name)) for name in names]
        assert [stored(stage, PROTOBUF, name) for name in names] == [[1, 1, 1, 1]] * 16


def test_a_server_that_is_restarted_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres")
    names = [f"restart-{n}" for n in range(60)]
    with ExitStack() as stack:
        stack.callback(server.erase)
        stack.enter_context(server)
        dsn = stack.enter_context(scratch_database(server.url))
        migrate(dsn)
        broker = stack.enter_context(sink())
        function = stack.enter_context(running("codex-intake", settings(dsn, broker.url, tmp_path), tmp_path / "log"))
        threads = stack.enter_context(ThreadPoolExecutor(8))
        posted = [threads.submit(patiently, partial(PROTOBUF.post, function, name)) for name in names]
        until(lambda: sum(future.done() for future in posted) >= 10)
        server.stop()
        server.start(server.port)
        answers = [future.result() for future in posted]
        replays = [patiently(partial(PROTOBUF.post, function, name)) for name in names]
        assert {answer.status for answer in answers} == {202}
        assert list(map(ids, replays)) == list(map(ids, answers))
        with psycopg.connect(dsn) as connection:
            for table in ("ideas", "tasks", "task_runs", "codex_tasks"):
                assert connection.execute(f"SELECT count(*) FROM codex_kb.{table}".encode()).fetchone() == (60,)  # noqa: S608
            waiting = {row[0] for row in connection.execute("SELECT id::text FROM codex_kb.outbox").fetchall()}
        assert len(waiting | {event.id for event in broker.events}) == 60


# --- replays after a long time, and other bodies


@DOORS
def test_a_replay_after_years_gets_the_same_answer_from_a_function_with_other_settings(
    intakes: Sequence[Function], stage: Stage, broker: Sink, folder: Path, door: Door
) -> None:
    name = f"year-{uuid4()}"
    first = door.post(intakes[0], name)
    assert first.status == 202
    for table in ("ideas", "tasks", "task_runs", "codex_tasks"):
        aged = f"UPDATE codex_kb.{table} SET created_at = created_at - interval '4 years'"  # noqa: S608
        stage.database.do(aged, {})
    changed = {
        "FACTEUR_CALLBACK_URL": "https://elsewhere.test/base",
        "FACTEUR_MEMORY_URL": "https://elsewhere.test/memory",
        "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_ENABLED": "true",
        "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_NAMESPACE": "elsewhere",
    }
    env = settings(stage.dsn, broker.url, folder) | changed
    with running("codex-intake", env, folder / "log-year") as later:
        again = door.post(later, name)
    if door is JSON:
        assert (again.status, again.data) == (200, first.data)
    else:
        then, now = json.loads(first.data), json.loads(again.data)
        year = int(then["submittedAt"][:4]) - 4  # from a 29th of February to another
        assert now == then | {"duplicate": True, "submittedAt": f"{year}{then['submittedAt'][4:]}"}
    assert stored(stage, door, name) == [1, 1, 1, 1]


def test_the_same_key_with_another_body_is_a_conflict_in_every_process(
    intakes: Sequence[Function], stage: Stage
) -> None:
    name = f"conflict-{uuid4()}"
    assert JSON.post(intakes[0], name).status == 202
    other = {**JSON.headers(name), "Content-Type": "application/json"}
    for intake in intakes:
        answer = intake.post("/v1/codex/tasks", b'{"prompt": "something else"}', other)
        assert answer.status == 409
        assert "Retry-After" not in answer.headers
        assert b"new key" in answer.data
    assert JSON.post(intakes[1], name).status == 200


def test_a_delivery_with_another_body_is_a_replay_of_the_first(intakes: Sequence[Function], stage: Stage) -> None:
    """As in the earlier system, whose senders build the body anew for each try."""
    name = f"other-{uuid4()}"
    first = PROTOBUF.post(intakes[0], name)
    again = intakes[1].post("/codex/tasks", example(delivery_id=name, prompt="built anew"), authorised())
    assert (again.status, ids(again)) == (202, ids(first))
    (row,) = stage.rows("SELECT prompt FROM codex_kb.codex_tasks WHERE id = %(task)s", run_id(name))
    assert row["prompt"] != "built anew"


# --- in flight elsewhere


@DOORS
def test_a_delivery_that_is_being_stored_elsewhere_is_answered_in_time_and_holds_nobody_up(
    intakes: Sequence[Function], stage: Stage, door: Door
) -> None:
    name = f"busy-{uuid4()}"
    with ThreadPoolExecutor(20) as threads, held(stage.dsn, door.delivery(name)) as other:

        def busy() -> tuple[urllib3.BaseHTTPResponse, float]:
            began = time.monotonic()
            return door.post(intakes[0], name), time.monotonic() - began

        stuck = [threads.submit(busy) for _ in range(8)]
        time.sleep(0.05)
        waits = []
        for _ in range(40):
            began = time.monotonic()
            assert door.post(intakes[0], f"meanwhile-{uuid4()}").status == 202
            waits.append(time.monotonic() - began)
        for future in stuck:
            answer, took = future.result()
            assert (answer.status, answer.headers["Retry-After"]) == (409, "1")
            assert json.loads(answer.data)["type"] == "urn:facteur:problem:inflight"
            assert took < 4
        assert max(waits) < 1.5
        assert sorted(waits)[20] < 0.3
        other.commit()
    answer = door.post(intakes[0], name)
    assert answer.status == (200 if door is JSON else 202)
    assert json.loads(answer.data)["taskId" if door is JSON else "taskRunId"] == str(run_id(door.delivery(name)))
