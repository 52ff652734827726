"""The user's own PostgreSQL and Redis in place of the embedded ones."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest


@pytest.mark.timeout(900)
def test_the_demo_runs_on_the_users_own_servers_and_leaves_no_database(
    postgres_server: str, redis_url: str, tmp_path: Path
) -> None:
    before = databases(postgres_server)
    env = {**os.environ, "FACTEUR_POSTGRES_DSN": postgres_server, "FACTEUR_REDIS_URL": redis_url}
    for _ in range(2):  # The second run is no replay of the first.
        done = subprocess.run(
            [sys.executable, "-m", "shared.cli.main", "demo", "--state", str(tmp_path / "state")],
            env=env,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert databases(postgres_server) == before
    assert not (tmp_path / "state" / "postgres").exists()


def databases(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database").fetchall()}
