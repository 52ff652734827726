"""`facteur dev` as a person meets it: real servers, real functions, and what can go wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from shared.local.children import FUNCTIONS, status
from shared.local.state import State, free_port
from shared.local.twin import Twin, TwinInfo, TwinSettings
from tests.integration.local.waiting import eventually, left

# A twin may have to be started several times, each time with a dozen processes.
pytestmark = pytest.mark.timeout(600)

COMMAND = [sys.executable, "-c", "from shared.cli.main import main; main()", "dev"]
Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run() -> Iterator[Run]:
    """Start `facteur dev` with arguments and extra environment, without the databases of this shell."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*arguments: str | Path, **extra: str) -> "subprocess.Popen[str]":
        own = ("FACTEUR_POSTGRES_DSN", "FACTEUR_REDIS_URL")
        env = {name: value for name, value in os.environ.items() if name not in own} | extra
        command = [*COMMAND, *map(str, arguments)]
        process = subprocess.Popen(
            command,
            env=env,
            text=True,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def refused(process: "subprocess.Popen[str]") -> str:
    """What it said when it exited with 2; one sentence or two, and no traceback."""
    _, said = process.communicate(timeout=240)
    assert process.returncode == 2
    assert "Traceback" not in said
    return said


def told(process: "subprocess.Popen[str]", beginning: str) -> str:
    """The rest of the next line that begins so."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return line.removeprefix(beginning).strip()
    raise AssertionError(f"it ended before it said {beginning!r}")


def test_a_taken_port_is_said(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"Port {port}" in refused(run("--state", tmp_path / "state", "--port", port))


def test_a_file_in_place_of_the_state_folder_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert "--state" in refused(run("--state", tmp_path / "state"))


def test_a_second_twin_on_the_same_state_is_refused(run: Run, tmp_path: Path) -> None:
    first = State.open(tmp_path / "state")
    assert f"already running on {tmp_path / 'state'} (pid {os.getpid()})" in refused(run("--state", tmp_path / "state"))
    first.close()


@pytest.mark.parametrize("dsn", ["postgresql://me:hunter2@127.0.0.1:{port}/x", "me:hunter2@nowhere"])
def test_a_wrong_dsn_is_said_without_its_password(run: Run, tmp_path: Path, dsn: str) -> None:
    dsn = dsn.format(port=free_port())
    said = refused(run("--state", tmp_path / "state", FACTEUR_POSTGRES_DSN=dsn))
    assert "FACTEUR_POSTGRES_DSN" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("url", ["redis://:hunter2@127.0.0.1:{port}/0", "me:hunter2@nowhere"])
def test_a_wrong_redis_url_is_said_without_its_password(run: Run, tmp_path: Path, url: str) -> None:
    url = url.format(port=free_port())
    said = refused(run("--state", tmp_path / "state", FACTEUR_REDIS_URL=url))
    assert "FACTEUR_REDIS_URL" in said
    assert "hunter2" not in said


def _twin(state: Path, said: list[str] | None = None, fresh: bool = False) -> Twin:
    settings = TwinSettings(state, fresh=fresh, runner_command=(sys.executable, "-c", ""))
    return Twin(settings, (said if said is not None else []).append)


def _rows(info: TwinInfo, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(info.dsn) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_the_state_survives_a_restart_and_fresh_starts_anew(tmp_path: Path) -> None:
    with _twin(tmp_path / "state") as first:
        _rows(first, "CREATE TABLE kept AS SELECT 1 AS x")
    with _twin(tmp_path / "state") as again:
        assert (again.url, again.api_token) == (first.url, first.api_token)
        assert _rows(again, "SELECT x FROM kept") == [(1,)]
    with _twin(tmp_path / "state", fresh=True) as anew:
        assert anew.api_token != first.api_token
        assert _rows(anew, "SELECT to_regclass('kept')") == [(None,)]


def test_every_crashed_process_is_restarted_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    twin = _twin(tmp_path / "state", said)
    with twin as info:
        victims = (*FUNCTIONS, "broker", "gateway", "node", "redis", "postgres")
        for name in victims:
            pid = twin.pid(name)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        eventually(
            lambda: {line.split()[0] for line in list(said) if "restarted in" in line} >= set(victims),
            "all restarted",
            seconds=240,
        )
        # Which of them came back last is open, and a function that was quicker than its database waits for that.
        eventually(lambda: status("GET", info.ports["gateway"], "/healthz") == 200, "the gateway")
        for name in FUNCTIONS:
            eventually(partial(_ready, info, name), f"{name} is ready")
    assert left(info.twin_id) == []


def _ready(info: TwinInfo, name: str) -> bool:
    return status("GET", info.ports[name], "/readyz") == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_the_command_ends_nothing_of_the_twin_is_left(run: Run, tmp_path: Path, number: signal.Signals) -> None:
    process = run("--state", tmp_path / "state")
    told(process, "Ctrl-C stops everything")
    twin_id = _twin_id(tmp_path / "state")
    assert len(left(twin_id)) > len(FUNCTIONS)
    process.send_signal(number)
    process.wait(240)
    eventually(lambda: not left(twin_id), "no process of the twin")
    if number is not signal.SIGKILL:
        assert process.returncode == 0


def test_a_signal_in_the_middle_of_the_start_leaves_nothing(run: Run, tmp_path: Path) -> None:
    process = run("--state", tmp_path / "state")
    told(process, "starting")
    eventually((tmp_path / "state" / "logs" / "postgres.log").exists, "PostgreSQL is being started")
    process.send_signal(signal.SIGTERM)
    process.wait(240)
    eventually(lambda: not left(_twin_id(tmp_path / "state")), "no process of the twin")


def _twin_id(folder: Path) -> str:
    return str(json.loads((folder / "twin.json").read_text())["twin_id"])
