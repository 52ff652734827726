"""The one place that moves runs: forward only, final states absorb, a repeat changes nothing."""

from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.domain.errors import Conflict, NotFound
from shared.domain.policy import Verdict
from shared.domain.report import End, Report, Snapshot
from shared.domain.run import RunState
from shared.events.catalogue import TaskFinished, announce
from shared.postgres.database import Database
from shared.postgres.launches import PgLaunches
from shared.postgres.reports import PgReports
from shared.postgres.runs import PgRuns
from tests.integration.postgres.conftest import AcceptTask, claim, launch

Status = Callable[[UUID], tuple[str, str, str]]
OutboxTypes = Callable[[], list[str]]


@pytest.fixture
def runs(database: Database) -> PgRuns:
    return PgRuns(database)


@pytest.fixture
def reports(database: Database) -> PgReports:
    return PgReports(database)


def test_a_run_is_moved_in_every_table_that_holds_its_state(
    accept: AcceptTask, runs: PgRuns, database: Database, status: Status, outbox_types: OutboxTypes
) -> None:
    task = accept().run_id
    run = launch(database, task)
    assert status(task) == ("running", "running", "running")
    assert PgLaunches(database).retry(run, "it was evicted", 0)
    assert status(task) == ("queued", "queued", "queued")
    assert outbox_types() == ["task.accepted.v1", "run.launched.v1"]


def test_a_denied_run_keeps_the_verdict_with_its_policy(
    accept: AcceptTask, runs: PgRuns, database: Database, status: Status
) -> None:
    task = accept().run_id
    run = claim(database, task)
    verdict = Verdict(False, "ci", "it does not allow mode argo", "v1")
    finished = announce(TaskFinished(task, "denied"), "dispatcher", None)
    for _ in range(2):
        runs.finish(run, RunState.DENIED, "denied by rule ci", finished, verdict)
    assert status(task) == ("denied", "denied", "denied")
    row = database.one("SELECT policy_key, status, metadata FROM codex_kb.policy_checks", {})
    said = {"policy": "v1", "attempt": 1, "reason": "it does not allow mode argo"}
    assert row == {"policy_key": "ci", "status": "denied", "metadata": said}


def test_what_a_brief_was_made_of_is_kept_with_it(accept: AcceptTask, database: Database) -> None:
    task = accept().run_id
    run = claim(database, task)
    before = Snapshot(uuid4(), "before", "how it was", "digest")
    verdict = Verdict(True, "ci", "", "v1")
    assert PgLaunches(database).brief(run, "do it", None, before, verdict) == "do it"
    row = database.one("SELECT policy_key, status, metadata->>'policy' AS version FROM codex_kb.policy_checks", {})
    assert row == {"policy_key": "ci", "status": "allowed", "version": "v1"}
    assert database.one("SELECT type, content, diff FROM codex_kb.codex_task_snapshots", {}) == {
        "type": "before",
        "content": "how it was",
        "diff": "",
    }


def report(number: int, kind: str = "progress", **more: object) -> Report:
    return Report(f"e{number}", number, kind, f"content {number}", **more)  # type: ignore[arg-type]


def test_reports_are_recorded_once_and_gaps_are_told(
    accept: AcceptTask, database: Database, reports: PgReports
) -> None:
    task = accept().run_id
    launch(database, task)
    first = reports.record(task, 1, [report(1), report(4)], None, None)
    assert (first.accepted, first.duplicates, first.gaps) == (2, 0, ((2, 3),))
    again = reports.record(task, 1, [report(4), report(2)], None, None)
    assert (again.accepted, again.duplicates, again.gaps) == (1, 1, ((3, 3),))


def test_a_run_ends_once_and_nothing_new_comes_after(
    accept: AcceptTask,
    runs: PgRuns,
    database: Database,
    reports: PgReports,
    status: Status,
    outbox_types: OutboxTypes,
) -> None:
    task = accept().run_id
    run = launch(database, task)
    finished = announce(TaskFinished(task, "succeeded"), "callback", None)
    end = End(RunState.SUCCEEDED, "", "all done")
    done = reports.record(task, 1, [report(1, "completed")], end, finished)
    assert done.status is RunState.SUCCEEDED
    assert status(task) == ("succeeded", "succeeded", "succeeded")
    replay = reports.record(task, 1, [report(1, "completed")], end, finished)
    assert (replay.accepted, replay.duplicates) == (0, 1)
    with pytest.raises(Conflict):
        reports.record(task, 1, [report(2)], None, None)
    assert not runs.finish(run, RunState.FAILED, "too late", finished)
    assert status(task)[0] == "succeeded"
    assert outbox_types().count("task.finished.v1") == 1


def test_another_attempt_and_an_unknown_task_are_refused(
    accept: AcceptTask, database: Database, reports: PgReports
) -> None:
    task = accept().run_id
    launch(database, task)
    with pytest.raises(Conflict):
        reports.record(task, 2, [report(1)], None, None)
    with pytest.raises(NotFound):
        reports.record(uuid4(), 1, [report(1)], None, None)


def test_snapshots_and_usage_land_in_their_places(accept: AcceptTask, reports: PgReports, database: Database) -> None:
    task = accept().run_id
    launch(database, task)
    snapshot = Snapshot(uuid4(), "after", "one file more", "digest")
    batch = [report(1, "snapshot", snapshot=snapshot), report(2, "usage", usage={"seconds": 2})]
    reports.record(task, 1, batch, None, None)
    row = database.one(
        "SELECT type, content, usage FROM codex_kb.codex_task_snapshots JOIN codex_kb.codex_tasks "
        "ON codex_tasks.id = task_id",
        {},
    )
    assert row == {"type": "after", "content": "one file more", "usage": {"seconds": 2}}


def test_open_runs_tell_what_is_due(accept: AcceptTask, runs: PgRuns, database: Database) -> None:
    task = accept(deadline_seconds=1).run_id
    assert runs.open() == []
    assert [one.launch_due for one in runs.open(stuck_seconds=0)] == [True]
    launch(database, task)
    assert runs.open_by_resource("job") is not None
    assert runs.open_by_resource("other") is None
    database.do("UPDATE codex_kb.codex_tasks SET launched_at = now() - interval '1 minute'", {})
    assert [(one.launch_due, one.expired) for one in runs.open()] == [(False, True)]


def test_a_connection_that_died_is_replaced_without_an_error(accept: AcceptTask, dsn: str) -> None:
    accept("before")
    with psycopg.connect(dsn) as killer:
        killer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert not accept("after").duplicate
