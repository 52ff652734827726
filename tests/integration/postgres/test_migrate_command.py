"""`facteur migrate`: what it prints, and where."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from shared.cli.main import app
from shared.local.servers.postgres import Postgres
from shared.postgres import grants
from shared.postgres.privileges import FUNCTIONS, role
from shared.postgres.scratch import scratch_database
from tests.patience import PATIENCE


def test_secrets_are_the_whole_output_and_each_opens_the_database(other_server: str) -> None:
    done = CliRunner().invoke(app, ["migrate", "--create-roles", "--dsn", other_server])
    assert done.exit_code == 0, done.stderr
    secrets = json.loads(done.stdout)["items"]
    assert [secret["metadata"]["name"] for secret in secrets] == [f"facteur-postgres-{name}" for name in FUNCTIONS]
    for function, secret in zip(FUNCTIONS, secrets, strict=True):
        dsn = secret["stringData"]["dsn"]
        with psycopg.connect(dsn) as connection:
            assert connection.info.user == role(function)
            connection.execute("SELECT FROM codex_kb.codex_tasks LIMIT 0")
        assert dsn not in done.stderr

    again = CliRunner().invoke(app, ["migrate", "--create-roles", "--dsn", other_server])
    assert (again.exit_code, again.stdout) == (0, "")
    assert "nothing to apply" in again.stderr


def test_a_role_that_may_not_migrate_is_told_so_in_one_sentence(other_server: str) -> None:
    with psycopg.connect(other_server, autocommit=True) as owner:
        owner.execute("CREATE ROLE stranger LOGIN PASSWORD 'unknown'")
    place = other_server.rpartition("@")[2]
    done = CliRunner().invoke(app, ["migrate", "--dsn", f"postgresql://stranger:unknown@{place}"])
    assert done.exit_code == 1
    assert done.stderr.startswith("the role of FACTEUR_POSTGRES_DSN may not migrate: permission denied")
    assert len(done.stderr.splitlines()) == 1


def test_without_a_database_it_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACTEUR_POSTGRES_DSN", raising=False)
    done = CliRunner().invoke(app, ["migrate"])
    assert done.exit_code == 2
    assert "--dsn" in done.stderr


def test_roles_that_are_missing_are_an_error_where_they_are_required(other_server: str) -> None:
    done = CliRunner().invoke(app, ["migrate", "--require-roles", "--dsn", other_server])
    assert done.exit_code == 1
    assert done.stderr == f"the server lacks roles of functions: {', '.join(map(role, FUNCTIONS))}\n"


def test_roles_that_come_later_are_waited_for_and_get_their_grants(other_server: str) -> None:
    def make_roles() -> None:
        with psycopg.connect(other_server, autocommit=True) as superuser:
            while superuser.execute("SELECT to_regclass('codex_kb.discord_cards')").fetchone() == (None,):
                time.sleep(0.05)
            for function in FUNCTIONS:
                superuser.execute(f"CREATE ROLE {role(function)} LOGIN".encode())

    maker = threading.Thread(target=make_roles)
    maker.start()
    done = CliRunner().invoke(app, ["migrate", "--require-roles", "--wait", "2m", "--dsn", other_server])
    maker.join()
    assert done.exit_code == 0, done.stderr
    with psycopg.connect(other_server) as owner:
        assert grants.differences(owner) == (set(), set())


def test_a_server_that_starts_later_is_waited_for(tmp_path: Path) -> None:
    with Postgres(tmp_path / "postgres") as server:
        dsn, port = server.url, server.port
    with waiting("2m", dsn) as process:
        assert process.stdout
        first = process.stdout.readline()
        try:
            server.start(port)
            process.communicate(timeout=100)
        finally:
            server.stop()
            server.erase()
    assert process.returncode == 0
    assert first.startswith("waiting for up to 120 s: cannot connect with FACTEUR_POSTGRES_DSN")


@contextmanager
def waiting(time: str, dsn: str) -> Iterator["subprocess.Popen[str]"]:
    """A migration that waits for so long, gone after the block."""
    command = [sys.executable, "-u", "-m", "shared.cli.main", "migrate", "--wait", time, "--dsn", dsn]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_waiting_ends_with_an_interrupt() -> None:
    with waiting("1h", "postgresql://127.0.0.1:1/facteur") as process:
        assert process.stdout
        assert process.stdout.readline().startswith("waiting for up to 3600 s")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130


def test_what_an_earlier_release_still_needs_is_taken_away_by_a_command_of_its_own(postgres_server: str) -> None:
    wide = f"GRANT TRUNCATE ON codex_kb.outbox TO {role('callback')}"
    with scratch_database(postgres_server, "template0") as dsn, psycopg.connect(dsn, autocommit=True) as owner:
        CliRunner().invoke(app, ["migrate", "--create-roles", "--dsn", dsn])
        owner.execute(wide.encode())
        kept = CliRunner().invoke(app, ["migrate", "--dsn", dsn])
        assert "facteur_callback may do more than this release needs" in kept.stdout
        assert "facteur migrate --revoke" in kept.stdout
        taken = CliRunner().invoke(app, ["migrate", "--revoke", "--dsn", dsn])
        assert "changed what facteur_callback may do" in taken.stdout
        assert grants.differences(owner) == (set(), set())
