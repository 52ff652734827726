"""What is wrong on the machine or in the files is said in a sentence, with exit code 2, and nothing stays behind."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from shared.local.servers.postgres import Postgres
from shared.local.state import free_port
from tests.flow.conftest import OWN
from tests.integration.local.waiting import eventually

ROOT = Path(__file__).parents[2]
COMMANDS = ("demo", "dev")
# Bytecode that another process is writing: it has its name for a moment.
UNFINISHED = shutil.ignore_patterns("*.pyc.*")


def refusal(command: str, state: Path, *arguments: str, cwd: Path = ROOT, **extra: str) -> str:
    """What `facteur` says when it cannot start."""
    env = {name: value for name, value in os.environ.items() if name not in OWN}
    program = [sys.executable, "-c", "from shared.cli.main import main; main()", command, "--state", str(state)]
    marked = {**env, **extra, "TESTED_BY": str(state)}
    done = subprocess.run(
        [*program, *arguments], cwd=cwd, env=marked, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    eventually(lambda: not _started_for(state), "no process left")
    return done.stderr


def _started_for(state: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["environ"]) if _mark(process) == str(state)]


def _mark(process: psutil.Process) -> str | None:
    mark: str | None = (process.info["environ"] or {}).get("TESTED_BY")
    return mark


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    Postgres(tmp_path / "state" / "postgres").erase()


def test_a_taken_port(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = refusal("dev", state, "--port", str(port))
    assert said.splitlines() == [f"Port {port} on 127.0.0.1 is taken. Choose another with --port."]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_state_folder_that_cannot_be_made(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = refusal(command, tmp_path / "file" / "state")
    assert said.count("\n") == 1 and "cannot be used (Not a directory). Choose another with --state." in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_state_folder_that_cannot_be_written(command: str, state: Path) -> None:
    state.mkdir(mode=0o500)
    said = refusal(command, state)
    assert said.count("\n") == 1 and "cannot be used (Permission denied). Choose another with --state." in said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_with_files_of_somebody_else(command: str, state: Path) -> None:
    state.mkdir()
    (state / "thesis.txt").write_text("years of work")
    said = refusal(command, state)
    assert said.count("\n") == 1 and "nothing was changed" in said
    assert [path.name for path in state.iterdir() if path.name != "lock"] == ["thesis.txt"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("dsn", ["postgresql://me:hunter2@127.0.0.1:{port}/x", "me:hunter2@nowhere"])
def test_a_wrong_dsn(command: str, state: Path, dsn: str) -> None:
    said = refusal(command, state, FACTEUR_POSTGRES_DSN=dsn.format(port=free_port()))
    assert said.count("\n") == 1 and "FACTEUR_POSTGRES_DSN" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_redis_url(command: str, state: Path) -> None:
    said = refusal(command, state, FACTEUR_REDIS_URL=f"redis://:hunter2@127.0.0.1:{free_port()}/0")
    assert said.count("\n") == 1 and "FACTEUR_REDIS_URL" in said
    assert "hunter2" not in said


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """A copy of the project whose manifests may be broken."""
    for name in ("functions", "shared", "migrations", "eventing"):
        shutil.copytree(ROOT / name, tmp_path / "copy" / name, ignore=UNFINISHED)
    yield tmp_path / "copy"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("text", "why"),
    [("kind: Trigger\n  spec: {", "is not valid YAML"), ("kind: Trigger\nmetadata: {name: nameless}\n", "spec")],
    ids=["not YAML", "no spec"],
)
def test_a_broken_manifest(command: str, copy: Path, state: Path, text: str, why: str) -> None:
    (copy / "eventing" / "triggers" / "embedder.tick.yaml").write_text(text)
    said = refusal(command, state, cwd=copy)
    assert "broker could not start (exit code 2)" in said
    assert "triggers/embedder.tick.yaml" in said and why in said
