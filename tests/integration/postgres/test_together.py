"""Deliveries that are stored together: each gets what it would have got alone, and none waits for another's sake."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from shared.domain.errors import InFlight, Rejected
from shared.domain.ids import run_id
from shared.domain.task import Accepted
from shared.events.catalogue import TaskAccepted, announce
from shared.postgres.database import Database
from shared.postgres.tasks import PgTasks
from tests.integration.postgres.conftest import request
from tests.integration.postgres.test_tasks import count

TABLES = ("ideas", "tasks", "task_runs", "codex_tasks", "outbox")


class Intake:
    """One process's store of tasks, as several threads use it."""

    def __init__(self, dsn: str) -> None:
        self.database = Database(dsn)
        self._tasks = PgTasks(self.database)

    def accept(self, name: str, **changes: Any) -> Accepted:
        event = announce(TaskAccepted(run_id(name)), "codex-intake", None)
        return self._tasks.accept(replace(request(name), **changes), event, None)

    def counts(self) -> list[int]:
        return [count(self.database, table) for table in TABLES]


@pytest.fixture
def intake(dsn: str) -> Iterator[Intake]:
    intake = Intake(dsn)
    yield intake
    intake.database.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as threads:
        yield threads


@contextmanager
def held(dsn: str, delivery: str) -> Iterator[psycopg.Connection[Any]]:
    """Another process that has inserted the delivery and not committed yet; it rolls back unless told otherwise."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "WITH idea AS (INSERT INTO codex_kb.ideas (source_type, source_ref, status, payload) "
            "VALUES ('github_issue', %(issue)s, 'received', '{}') RETURNING id), task AS (INSERT INTO codex_kb.tasks "
            "(idea_id, stage, state) SELECT id, 'implementation', 'queued' FROM idea RETURNING id) INSERT INTO "
            "codex_kb.task_runs (id, task_id, status, delivery_id) "
            "SELECT %(run)s, id, 'queued', %(delivery)s FROM task",
            {"issue": f"held {delivery}", "run": run_id(delivery), "delivery": delivery},
        )
        yield connection
        connection.rollback()


@contextmanager
def together(intake: Intake, threads: ThreadPoolExecutor, dsn: str) -> Iterator[list[Future[Accepted]]]:
    """What is submitted inside comes while a group is under way, so that the next group has all of it."""
    waiting: list[Future[Accepted]] = []
    with held(dsn, "leads"):
        leads = threads.submit(intake.accept, "leads")
        time.sleep(0.05)
        yield waiting
        time.sleep(0.05)
    leads.result()


def issue(number: int) -> dict[str, Any]:
    return {"source_type": "github_issue", "source_ref": f"o/r#{number}"}


def test_many_at_once_are_each_stored_once_and_get_their_own_ids(
    intake: Intake, threads: ThreadPoolExecutor, dsn: str
) -> None:
    with together(intake, threads, dsn) as waiting:
        waiting += [threads.submit(intake.accept, f"d{n}", **issue(n)) for n in range(20)]
    results = [future.result() for future in waiting]
    assert [result.run_id for result in results] == [run_id(f"d{n}") for n in range(20)]
    assert not any(result.duplicate for result in results)
    assert len({result.idea_id for result in results}) == 20
    assert intake.counts() == [21] * 5


def test_the_same_delivery_twice_in_one_group_is_one_task_and_one_replay(
    intake: Intake, threads: ThreadPoolExecutor, dsn: str
) -> None:
    with together(intake, threads, dsn) as waiting:
        waiting += [threads.submit(intake.accept, "twin", **issue(1)) for _ in range(4)]
        waiting.append(threads.submit(intake.accept, "another", **issue(2)))
    results = [future.result() for future in waiting]
    assert sorted(result.duplicate for result in results) == [False, False, True, True, True]
    assert len({(result.run_id, result.task_id, result.accepted_at) for result in results}) == 2
    assert intake.counts() == [3] * 5


def test_two_deliveries_of_one_issue_in_one_group_are_two_runs_of_one_task(
    intake: Intake, threads: ThreadPoolExecutor, dsn: str
) -> None:
    with together(intake, threads, dsn) as waiting:
        waiting += [threads.submit(intake.accept, f"d{n}", **issue(1)) for n in range(6)]
    results = [future.result() for future in waiting]
    assert len({result.run_id for result in results}) == 6
    assert len({(result.idea_id, result.task_id) for result in results}) == 1
    assert intake.counts() == [2, 2, 7, 7, 7]


def test_replays_and_new_ones_in_one_group_are_told_apart(
    intake: Intake, threads: ThreadPoolExecutor, dsn: str
) -> None:
    before = [intake.accept(f"old{n}", **issue(n)) for n in range(4)]
    with together(intake, threads, dsn) as waiting:
        for n in range(4):
            waiting.append(threads.submit(intake.accept, f"old{n}", **issue(n)))
            waiting.append(threads.submit(intake.accept, f"new{n}", **issue(n + 10)))
    results = [future.result() for future in waiting]
    assert [result.duplicate for result in results] == [True, False] * 4
    assert [(a.run_id, a.task_id, a.accepted_at) for a in results[::2]] == [
        (b.run_id, b.task_id, b.accepted_at) for b in before
    ]


@pytest.mark.parametrize(("table", "column"), [("tasks", "stage"), ("codex_tasks", "tenant")])
def test_a_member_that_only_postgres_refuses_harms_no_other(
    intake: Intake, threads: ThreadPoolExecutor, dsn: str, table: str, column: str
) -> None:
    intake.database.do(f"ALTER TABLE codex_kb.{table} ADD CONSTRAINT never CHECK ({column} <> 'forbidden')", {})
    with together(intake, threads, dsn) as waiting:
        waiting += [threads.submit(intake.accept, f"d{n}", **issue(n)) for n in range(3)]
        bad = threads.submit(intake.accept, "bad", **issue(99), **{column: "forbidden"})
        waiting += [threads.submit(intake.accept, f"d{n}", **issue(n)) for n in range(3, 6)]
    assert [future.result().run_id for future in waiting] == [run_id(f"d{n}") for n in range(6)]
    with pytest.raises(psycopg.errors.CheckViolation):
        bad.result()
    assert intake.counts() == [7] * 5


def test_a_value_that_no_index_can_hold_is_refused_for_ever_and_not_tried_again(intake: Intake) -> None:
    noise = "".join(str(uuid4()) for _ in range(100))
    with pytest.raises(Rejected, match="too long"):
        intake.database.do(
            "INSERT INTO codex_kb.ideas (source_type, source_ref, status, payload) VALUES ('x', %(ref)s, 'x', '{}')",
            {"ref": noise},
        )


def test_many_large_ones_at_once_are_stored(intake: Intake, threads: ThreadPoolExecutor) -> None:
    prompt = "\x01" * 900_000  # each of these is six characters of JSON
    done = list(threads.map(lambda n: intake.accept(f"large{n}", prompt=prompt, delivery=bytes(900_000)), range(8)))
    assert [accepted.duplicate for accepted in done] == [False] * 8
    (row,) = intake.database.all(
        "SELECT min(length(prompt)) AS prompt, min(length(delivery)) AS delivery FROM codex_kb.codex_tasks", {}
    )
    assert (row["prompt"], row["delivery"]) == (900_000, 900_000)


# --- held up by others


def test_a_delivery_in_flight_elsewhere_is_answered_in_time_and_found_after_the_commit(
    intake: Intake, dsn: str
) -> None:
    with held(dsn, "busy") as other:
        began = time.monotonic()
        with pytest.raises(InFlight, match="try again"):
            intake.accept("busy", **issue(1))
        assert time.monotonic() - began < 3
        other.commit()
    assert intake.accept("busy", **issue(1)).duplicate


def test_what_another_gave_up_is_accepted(intake: Intake, dsn: str, threads: ThreadPoolExecutor) -> None:
    with held(dsn, "given up"):
        waits = threads.submit(intake.accept, "given up", **issue(1))
        time.sleep(0.2)
    assert not waits.result().duplicate


def test_while_one_is_held_up_all_others_are_served(intake: Intake, dsn: str, threads: ThreadPoolExecutor) -> None:
    """Its copies too wait in one place, and no longer than it does."""
    refused: list[float] = []

    def retried() -> None:
        began = time.monotonic()
        with pytest.raises(InFlight):
            intake.accept("busy", **issue(1))
        refused.append(time.monotonic() - began)

    with held(dsn, "busy"):
        copies = [threads.submit(retried) for _ in range(12)]
        time.sleep(0.05)
        waits: list[float] = []
        for n in range(60):
            began = time.monotonic()
            assert not intake.accept(f"d{n}", **issue(n + 10)).duplicate
            waits.append(time.monotonic() - began)
        for copy in copies:
            copy.result()
    waits.sort()
    assert waits[-1] < 1.5
    assert waits[len(waits) // 2] < 0.25
    assert max(refused) < 4


def test_a_group_with_one_that_is_held_up_lets_the_others_go(
    intake: Intake, dsn: str, threads: ThreadPoolExecutor
) -> None:
    with held(dsn, "busy"):
        with together(intake, threads, dsn) as waiting:
            stuck = threads.submit(intake.accept, "busy", **issue(1))
            waiting += [threads.submit(intake.accept, f"d{n}", **issue(n + 10)) for n in range(8)]
        began = time.monotonic()
        assert [future.result(5).duplicate for future in waiting] == [False] * 8
        assert time.monotonic() - began < 1
        with pytest.raises(InFlight):
            stuck.result(5)


def test_two_processes_with_the_same_deliveries_in_opposite_order_do_not_stand_still(
    dsn: str, threads: ThreadPoolExecutor
) -> None:
    """Half of the deliveries come with another issue in the other process, so no order fits both."""
    processes = [Intake(dsn), Intake(dsn)]
    names = [f"d{n}" for n in range(40)]
    start = threading.Barrier(32)
    lock = threading.Lock()
    todo = [list(names), list(reversed(names))]
    results: list[Accepted] = []

    def work(process: int) -> None:
        start.wait()
        while True:
            with lock:
                if not todo[process]:
                    return
                name = todo[process].pop()
            number = int(name[1:]) if process == 0 else 40 - int(name[1:])
            while True:
                try:
                    accepted = processes[process].accept(name, **issue(number))
                    break
                except InFlight:
                    continue
            with lock:
                results.append(accepted)

    began = time.monotonic()
    for running in [threads.submit(work, n % 2) for n in range(32)]:
        running.result(30)
    assert time.monotonic() - began < 10
    assert len(results) == 80
    assert len({accepted.run_id for accepted in results}) == 40
    assert sum(not accepted.duplicate for accepted in results) == 40
    assert [count(processes[0].database, table) for table in ("task_runs", "codex_tasks", "outbox")] == [40] * 3
    for process in processes:
        process.database.close()


def test_hundreds_of_deliveries_of_a_few_issues_from_three_processes_are_all_stored_once(
    dsn: str, threads: ThreadPoolExecutor
) -> None:
    processes = [Intake(dsn) for _ in range(3)]
    posts: Sequence[int] = [n % 100 for n in range(300)]

    def post(n: int) -> Accepted:
        return processes[n % 3].accept(f"d{posts[n]}", **issue(posts[n] % 4))

    results = list(threads.map(post, range(300)))
    assert sum(not accepted.duplicate for accepted in results) == 100
    assert processes[0].counts() == [4, 4, 100, 100, 100]
    for process in processes:
        process.database.close()
