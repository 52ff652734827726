"""Deliveries that are stored together: each gets what it would have got alone, and none waits for another's sake."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from shared.domain.errors import InFlight, Rejected
from shared.domain.ids import run_id
from shared.domain.task import Accepted
from shared.events.catalogue import TaskAccepted, announce
from shared.postgres.tasks import LOCK_SECONDS, PgTasks
from tests.integration.postgres.conftest import request
from tests.integration.postgres.test_memory_models import until_one_waits
from tests.integration.postgres.test_tasks import count
from tests.patience import PATIENCE, patient

TABLES = ("ideas", "tasks", "task_runs", "codex_tasks", "outbox")
# Where a lock is given up, in seconds: a busy machine holds nobody up for as long.
LOCK = 3.0


class Intake:
    """One process's store of tasks, as several threads use it. It waits for others as long as a test does, unless told
    otherwise: a second, as in production, is too short for what a busy machine may hold up."""

    def __init__(self, dsn: str, lock_seconds: float = PATIENCE) -> None:
        self.database = patient(dsn)
        self._tasks = PgTasks(self.database, lock_seconds)

    def accept(self, name: str, **changes: Any) -> Accepted:
        event = announce(TaskAccepted(run_id(name)), "codex-intake", None)
        return self._tasks.accept(replace(request(name), **changes), event, None)

    def counts(self) -> list[int]:
        return [count(self.database, table) for table in TABLES]


@pytest.fixture
def new_intake(dsn: str) -> Iterator[Callable[..., Intake]]:
    """One more process."""
    with ExitStack() as undo:

        def new(lock_seconds: float = PATIENCE) -> Intake:
            intake = Intake(dsn, lock_seconds)
            undo.callback(intake.database.close)
            return intake

        yield new


@pytest.fixture
def intake(new_intake: Callable[..., Intake]) -> Intake:
    return new_intake()


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
        until_one_waits(intake.database, "transactionid")
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


def test_a_lock_is_waited_for_a_second() -> None:
    assert LOCK_SECONDS == 1


def test_a_delivery_in_flight_elsewhere_is_answered_in_time_and_found_after_the_commit(
    new_intake: Callable[..., Intake], dsn: str, threads: ThreadPoolExecutor
) -> None:
    """In time is before somebody is answered who waits for a lock three times as long."""
    intake, slower = new_intake(LOCK), new_intake(3 * LOCK)
    with held(dsn, "busy") as other:
        measure = threads.submit(slower.accept, "busy", **issue(2))
        until_one_waits(slower.database, "transactionid")
        with pytest.raises(InFlight, match="try again"):
            intake.accept("busy", **issue(1))
        assert not measure.done()
        other.commit()
    assert intake.accept("busy", **issue(1)).duplicate
    assert measure.result().duplicate


def test_what_another_gave_up_is_accepted(intake: Intake, dsn: str, threads: ThreadPoolExecutor) -> None:
    with held(dsn, "given up"):
        waits = threads.submit(intake.accept, "given up", **issue(1))
        until_one_waits(intake.database, "transactionid")
    assert not waits.result().duplicate


def test_while_one_is_held_up_all_others_are_served(intake: Intake, dsn: str, threads: ThreadPoolExecutor) -> None:
    with held(dsn, "busy"):
        copies = [threads.submit(intake.accept, "busy", **issue(1)) for _ in range(12)]
        until_one_waits(intake.database, "transactionid")
        for n in range(60):
            assert not intake.accept(f"d{n}", **issue(n + 10)).duplicate
        # None of the others has waited until a lock was given up.
        assert not any(copy.done() for copy in copies)
    assert sorted(copy.result().duplicate for copy in copies) == [False, *[True] * 11]


def test_the_copies_of_one_that_is_held_up_wait_in_one_place_and_no_longer_than_it_does(
    new_intake: Callable[..., Intake], dsn: str, threads: ThreadPoolExecutor
) -> None:
    """All of them are answered before somebody who waits for a lock four times as long."""
    intake, slower = new_intake(2 * LOCK), new_intake(8 * LOCK)
    with held(dsn, "busy") as other:
        measure = threads.submit(slower.accept, "busy", **issue(2))
        until_one_waits(slower.database, "transactionid")
        copies = [threads.submit(intake.accept, "busy", **issue(1)) for _ in range(12)]
        assert [type(copy.exception()) for copy in copies] == [InFlight] * 12
        assert not measure.done()
        other.commit()
    assert measure.result().duplicate


def test_a_group_with_one_that_is_held_up_lets_the_others_go(
    new_intake: Callable[..., Intake], dsn: str, threads: ThreadPoolExecutor
) -> None:
    intake = new_intake(2 * LOCK)
    with held(dsn, "busy"):
        with together(intake, threads, dsn) as waiting:
            stuck = threads.submit(intake.accept, "busy", **issue(1))
            waiting += [threads.submit(intake.accept, f"d{n}", **issue(n + 10)) for n in range(8)]
        assert [future.result().duplicate for future in waiting] == [False] * 8
        # The others are answered before the one is given up.
        assert not stuck.done()
        with pytest.raises(InFlight):
            stuck.result()


def test_two_processes_with_the_same_deliveries_in_opposite_order_do_not_stand_still(
    new_intake: Callable[..., Intake], threads: ThreadPoolExecutor
) -> None:
    """Half of the deliveries come with another issue in the other process, so no order fits both."""
    processes = [new_intake(LOCK_SECONDS), new_intake(LOCK_SECONDS)]
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
        running.result(PATIENCE)
    assert time.monotonic() - began < 10
    assert len(results) == 80
    assert len({accepted.run_id for accepted in results}) == 40
    assert sum(not accepted.duplicate for accepted in results) == 40
    assert [count(processes[0].database, table) for table in ("task_runs", "codex_tasks", "outbox")] == [40] * 3


def test_hundreds_of_deliveries_of_a_few_issues_from_three_processes_are_all_stored_once(
    new_intake: Callable[..., Intake], threads: ThreadPoolExecutor
) -> None:
    processes = [new_intake() for _ in range(3)]
    posts: Sequence[int] = [n % 100 for n in range(300)]

    def post(n: int) -> Accepted:
        return processes[n % 3].accept(f"d{posts[n]}", **issue(posts[n] % 4))

    results = list(threads.map(post, range(300)))
    assert sum(not accepted.duplicate for accepted in results) == 100
    assert processes[0].counts() == [4, 4, 100, 100, 100]
