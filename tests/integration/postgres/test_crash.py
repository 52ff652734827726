"""What somebody acts on is still there after a crash of the server."""

import pytest

from shared.domain.ids import run_id
from shared.events.catalogue import RunLaunched, TaskAccepted, announce
from shared.local.servers.postgres import Postgres
from shared.postgres.launches import PgLaunches
from shared.postgres.migrations import migrate
from shared.postgres.tasks import PgTasks
from tests.integration.postgres.conftest import claim, request
from tests.patience import patient


def test_a_claim_that_a_job_is_made_for_outlives_a_crash_of_the_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = Postgres(tmp_path_factory.mktemp("crashing-postgres"))
    with server:
        migrate(server.url)
        database = patient(server.url)
        task = run_id("delivery")
        PgTasks(database).accept(request("delivery"), announce(TaskAccepted(task), "codex-intake", None), None)
        run = claim(database, task)
        assert server._process
        server._process.kill()
        server._process.wait()
        server.start(server.port)
        event = announce(RunLaunched(task, run.attempt, "job"), "dispatcher", None)
        assert PgLaunches(database).launched(run, "job", b"hash", event)
        database.close()
    server.erase()
