"""The embedded servers, started for real."""

import os
import signal
import stat
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from shared.local.servers.embedded import EmbeddedServer
from shared.local.servers.postgres import Postgres
from shared.local.servers.redis import Redis

SERVERS = pytest.mark.parametrize("kind", [Postgres, Redis])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As reachable as a twin's state folder is."""
    path = tmp_path / "state"
    path.mkdir(mode=0o711)
    return path


def pid_of(server: EmbeddedServer) -> int:
    assert server._process is not None
    return server._process.pid


def test_postgres_keeps_rows_over_a_restart_and_has_pgvector(folder: Path) -> None:
    with Postgres(folder / "postgres") as server, psycopg.connect(server.url) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute("CREATE TABLE kept AS SELECT '[1,2]'::vector AS v")
    with Postgres(folder / "postgres") as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT v::text FROM kept").fetchall() == [("[1,2]",)]
        version = connection.info.server_version
    assert version // 10000 == 18


def test_postgres_recovers_from_a_kill(folder: Path) -> None:
    with Postgres(folder / "postgres") as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS x")
        os.kill(pid_of(server), signal.SIGKILL)
    with Postgres(folder / "postgres") as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT x FROM kept").fetchall() == [(1,)]


def test_a_pid_file_that_names_another_program_does_not_hinder_the_start(folder: Path) -> None:
    with Postgres(folder / "postgres") as server:
        data = server._data()
        os.kill(pid_of(server), signal.SIGKILL)
    file = data / "postmaster.pid"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    with Postgres(folder / "postgres") as server:
        assert server.answers()


def test_an_initdb_that_was_killed_half_way_is_made_anew(folder: Path) -> None:
    half = folder / "postgres" / "init-killed" / "data"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    (folder / "postgres").chmod(0o711)
    with Postgres(folder / "postgres") as server:
        assert server.answers()
        assert not half.exists() or server._data().parent != folder / "postgres"


def test_postgres_asks_for_its_password(folder: Path) -> None:
    with Postgres(folder / "postgres") as server:
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://facteur:wrong@127.0.0.1:{server.port}/postgres")
        assert {address.laddr.ip for address in psutil.Process(pid_of(server)).net_connections()} == {"127.0.0.1"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must give its server to another user")
def test_as_root_a_closed_folder_is_left_closed_and_the_data_are_elsewhere(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with Postgres(closed / "postgres") as server:
        place = server._data().parent
        assert tmp_path not in place.parents
        assert psutil.Process(pid_of(server)).uids().real != 0
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    server.erase()
    assert not place.exists()


def test_redis_keeps_what_it_said_it_stored_over_a_kill(folder: Path) -> None:
    with Redis(folder / "redis") as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("kept", "yes")
        os.kill(pid_of(server), signal.SIGKILL)
    with Redis(folder / "redis") as server, redis.Redis.from_url(server.url) as client:
        assert client.get("kept") == b"yes"


def test_redis_asks_for_its_password_and_listens_on_loopback(folder: Path) -> None:
    with Redis(folder / "redis") as server:
        with redis.Redis(port=server.port) as client, pytest.raises(redis.AuthenticationError):
            client.ping()
        assert {address.laddr.ip for address in psutil.Process(pid_of(server)).net_connections()} == {"127.0.0.1"}


@SERVERS
def test_no_password_is_on_a_command_line(folder: Path, kind: type[EmbeddedServer]) -> None:
    with kind(folder / "server") as server:
        password = (folder / "server" / "password").read_text()
        assert not any(password in part for part in psutil.Process(pid_of(server)).cmdline())
        assert stat.S_IMODE((folder / "server" / "password").stat().st_mode) == 0o600
