"""Uploads under several hands: a commit and a collector never both have their way."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.domain.artifact import Upload, key
from shared.domain.errors import NotFound, Unauthenticated
from shared.domain.report import End, Report
from shared.domain.run import RunState
from shared.postgres.database import Database
from shared.postgres.reports import PgReports
from shared.postgres.task_views import PgTaskViews
from shared.postgres.uploads import PgUploads
from tests.integration.postgres.conftest import AcceptTask, launch
from tests.patience import PATIENCE


@pytest.fixture
def uploads(database: Database) -> PgUploads:
    return PgUploads(database)


@pytest.fixture
def task(accept: AcceptTask, database: Database) -> UUID:
    task = accept().run_id
    launch(database, task)
    return task


def begun(uploads: PgUploads, task: UUID, parts: int = 0) -> Upload:
    artifact = uuid4()
    upload = Upload(artifact, "a.txt", 5, "ab" * 32, "text/plain", key(task, 1, artifact), parts)
    return uploads.begin_upload(task, 1, upload)


def never(_upload: Upload, _kept: bool) -> None:
    raise AssertionError("there is nothing to clear")


def artifacts(database: Database) -> list[UUID]:
    return [row["id"] for row in database.all("SELECT id FROM codex_kb.artifacts", {})]


def while_clearing(uploads: PgUploads, act: Callable[[], None]) -> None:
    """Does something while a collector has an upload in its hands."""

    def clear(_upload: Upload, _kept: bool) -> None:
        act()

    assert uploads.collect(0, clear)


def test_a_commit_waits_for_the_collector_and_finds_nothing(
    uploads: PgUploads, task: UUID, database: Database, dsn: str
) -> None:
    upload = begun(uploads, task)
    with ThreadPoolExecutor(1) as pool:
        commits: list[Future[None]] = []

        def act() -> None:
            commits.append(pool.submit(uploads.commit_upload, task, upload, "file:///x"))
            wait_for_a_lock(dsn)

        while_clearing(uploads, act)
        with pytest.raises(NotFound):
            commits[0].result(PATIENCE)
    assert artifacts(database) == []


def wait_for_a_lock(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as observer:
        deadline = time.monotonic() + PATIENCE
        while not observer.execute("SELECT pid FROM pg_locks WHERE NOT granted").fetchone():
            assert time.monotonic() < deadline, "nobody waits for the collector"
            time.sleep(0.005)


@pytest.mark.parametrize("parts", [0, 3])
def test_a_collector_passes_over_what_is_being_committed(
    uploads: PgUploads, task: UUID, database: Database, parts: int
) -> None:
    upload = begun(uploads, task, parts)
    with database._pool.connection() as connection, connection.transaction():
        connection.execute("SELECT FROM codex_kb.codex_task_uploads FOR UPDATE")
        assert not uploads.collect(0, never)
    uploads.commit_upload(task, upload, "file:///x")
    kept: list[bool] = []
    assert uploads.collect(0, lambda _, was_kept: kept.append(was_kept)) is (parts > 0)
    assert kept == [True] * (parts > 0)
    assert artifacts(database) == [upload.id]


def test_two_collectors_never_have_the_same_upload(uploads: PgUploads, task: UUID) -> None:
    upload = begun(uploads, task)

    def act() -> None:
        assert not uploads.collect(0, never)

    while_clearing(uploads, act)
    with pytest.raises(NotFound):
        uploads.upload(task, 1, upload.id)


def test_a_commit_that_begins_keeps_the_collector_away(uploads: PgUploads, task: UUID, database: Database) -> None:
    upload = begun(uploads, task)
    database.do("UPDATE codex_kb.codex_task_uploads SET open_since = now() - interval '2 days'", {})
    assert uploads.upload(task, 1, upload.id) == upload
    assert not uploads.collect(86_400, never)


def test_the_token_of_a_run_that_is_long_over_keeps_nothing(uploads: PgUploads, task: UUID, database: Database) -> None:
    upload = begun(uploads, task)
    end = End(RunState.SUCCEEDED, "", "all done")
    PgReports(database).record(task, 1, [Report("1", 1, "completed")], end, None)
    assert uploads.upload(task, 1, upload.id) == upload
    database.do("UPDATE codex_kb.codex_tasks SET finished_at = now() - interval '2 hours'", {})
    with pytest.raises(Unauthenticated):
        uploads.upload(task, 1, upload.id)
    with pytest.raises(Unauthenticated):
        uploads.begin_upload(task, 1, upload)


def test_a_tenant_finds_its_own_artifacts_alone(
    uploads: PgUploads, task: UUID, accept: AcceptTask, database: Database
) -> None:
    upload, views = begun(uploads, task), PgTaskViews(database)
    assert views.artifact(task, "default", upload.id) is None
    uploads.commit_upload(task, upload, "file:///x")
    found = {"key": upload.key, "name": "a.txt", "contentType": "text/plain"}
    assert views.artifact(task, "default", upload.id) == found
    assert views.artifact(task, "elsewhere", upload.id) is None
    assert views.artifact(accept("other").run_id, "default", upload.id) is None
