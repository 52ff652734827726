"""Builders for what the doors store."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from shared.domain.ids import run_id
from shared.domain.task import Accepted, Caps, Run, TaskRequest
from shared.events.catalogue import RunLaunched, TaskAccepted, announce
from shared.local.servers.postgres import Postgres
from shared.postgres.database import Database
from shared.postgres.launches import PgLaunches
from shared.postgres.queue import PgQueue
from shared.postgres.tasks import PgTasks
from tests.patience import PATIENCE

AcceptTask = Callable[..., Accepted]


def request(delivery: str = "delivery-1", **changes: Any) -> TaskRequest:
    fields: dict[str, Any] = {
        "delivery_id": delivery,
        "source_type": "http",
        "source_ref": delivery,
        "caller": "alice",
        "prompt": f"Do what {delivery} says",
        "payload": {"prompt": "…"},
        "body_hash": b"\x01" * 32,
    }
    return TaskRequest(**fields | changes)


def claim(database: Database, task: UUID, lease_seconds: float = 30.0) -> Run:
    """The run, claimed for its launch as a dispatcher does it, whatever else waits."""
    queue = PgQueue(database, Caps(0, 0, 0, 0), lease_seconds=lease_seconds)
    queued, run = queue.enter(task)
    assert queued
    while run and run.id != task:
        run = queue.admit()
    assert run
    return run


def launch(database: Database, task: UUID, resource: str = "job") -> Run:
    """The run, noted as running."""
    run = claim(database, task)
    event = announce(RunLaunched(task, run.attempt, resource), "dispatcher", None)
    assert PgLaunches(database).launched(run, resource, b"hash", event)
    return run


@pytest.fixture
def hasty(dsn: str) -> Iterator[Database]:
    """The database of whoever gives up at once what somebody else has locked."""
    database = Database(dsn, timeout=PATIENCE, lock_timeout=0.1)
    yield database
    database.close()


@pytest.fixture
def accept(database: Database) -> AcceptTask:
    tasks = PgTasks(database, lock_seconds=PATIENCE)

    def accept(delivery: str = "delivery-1", **changes: Any) -> Accepted:
        wanted = request(delivery, **changes)
        event = announce(TaskAccepted(run_id(delivery)), "codex-intake", None)
        return tasks.accept(wanted, event, None)

    return accept


@pytest.fixture
def outbox_types(database: Database) -> Callable[[], list[str]]:
    """The types of the events in the outbox, oldest first."""

    def read() -> list[str]:
        rows = database.all("SELECT event::jsonb->>'type' AS type FROM codex_kb.outbox ORDER BY created_at, id", {})
        return [row["type"].removeprefix("ai.proompteng.codex.") for row in rows]

    return read


@pytest.fixture
def status(database: Database) -> Callable[[UUID], tuple[str, str, str]]:
    """The state of a run in the three tables that hold it: codex_tasks, task_runs, tasks."""

    def read(run: UUID) -> tuple[str, str, str]:
        row = database.one(
            "SELECT codex_tasks.status AS a, task_runs.status AS b, tasks.state AS c FROM codex_kb.codex_tasks "
            "JOIN codex_kb.task_runs USING (id) JOIN codex_kb.tasks ON tasks.id = task_runs.task_id "
            "WHERE codex_tasks.id = %(id)s",
            {"id": run},
        )
        assert row
        return row["a"], row["b"], row["c"]

    return read


@pytest.fixture
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DSN of a server without any role of a function."""
    server = Postgres(tmp_path_factory.mktemp("other-postgres"))
    with server:
        yield server.url
    server.erase()
