"""The supervisor and the watchdog, with real processes."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from shared.local.state import CannotStart, free_port
from shared.local.supervisor import Child, Supervisor
from tests.integration.local.waiting import eventually, left, stand_in

Spawn = Callable[[Path], tuple["subprocess.Popen[str]", str]]


@pytest.fixture
def twin_id() -> str:
    return str(uuid4())


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def restarted() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, twin_id: str, said: list[str], restarted: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(twin_id, tmp_path, said.append, restarted.append)
    yield supervisor
    supervisor.stop()
    assert left(twin_id) == []


@pytest.fixture
def spawned() -> Iterator[Spawn]:
    """Start a whole stand-in twin as a process of its own and wait until it is ready."""
    processes, twin_ids = [], []

    def spawn(state: Path) -> tuple["subprocess.Popen[str]", str]:
        command = [sys.executable, "-m", "tests.integration.local.twin_stand_in", str(state)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        processes.append(process)
        assert process.stdout is not None
        word, twin_id = process.stdout.readline().split()
        assert word == "ready"
        twin_ids.append(twin_id)
        return process, twin_id

    yield spawn
    for process in processes:
        process.kill()
        process.communicate()
    eventually(lambda: not any(left(twin_id) for twin_id in twin_ids), "no process of any twin")


def test_children_are_restarted_and_it_is_said(supervisor: Supervisor, said: list[str], restarted: list[str]) -> None:
    supervisor.start(stand_in("embedder", free_port()))
    supervisor.wait("embedder")
    first = supervisor.pid("embedder")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: restarted == ["embedder"], "a restart")
    assert supervisor.pid("embedder") not in (None, first)
    assert said[0].startswith("embedder stopped (killed by SIGKILL), restarted in ")


def test_what_a_crashed_child_left_in_its_group_is_ended_before_the_restart(
    supervisor: Supervisor, restarted: list[str]
) -> None:
    supervisor.start(stand_in("embedder", free_port(), "--with-worker"))
    supervisor.wait()
    master = psutil.Process(supervisor.pid("embedder"))
    (worker,) = master.children()
    master.kill()
    eventually(lambda: restarted == ["embedder"], "a restart")
    eventually(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, "no old worker")


def test_the_watchdog_is_restarted(supervisor: Supervisor, restarted: list[str]) -> None:
    eventually(lambda: supervisor.pid("watchdog") is not None, "a watchdog")
    pid = supervisor.pid("watchdog")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: supervisor.pid("watchdog") not in (None, pid), "another watchdog")


def test_a_child_that_never_serves_is_given_up_with_the_end_of_its_log(supervisor: Supervisor) -> None:
    code = "import sys; [print('line', n, flush=True) for n in range(30)]; sys.exit('no such table')"
    supervisor.start(Child("broker", [sys.executable, "-S", "-c", code], {}, ready=lambda: False))
    with pytest.raises(CannotStart) as failure:
        supervisor.wait()
    assert "broker could not start (exit code 1)" in str(failure.value)
    assert "no such table" in str(failure.value)
    assert "line 1\n" not in str(failure.value)


def test_wrong_settings_are_said_at_once(supervisor: Supervisor, tmp_path: Path) -> None:
    code = "import sys; print('PORT is not set'); sys.exit(2)"
    supervisor.start(Child("broker", [sys.executable, "-S", "-c", code], {}, ready=lambda: False))
    with pytest.raises(CannotStart, match="PORT is not set"):
        supervisor.wait()
    assert (tmp_path / "broker.log").read_text().count("PORT is not set") == 1


def test_a_program_that_does_not_exist_is_said(supervisor: Supervisor) -> None:
    supervisor.start(Child("broker", ["/nowhere/broker"], {}, ready=lambda: False))
    with pytest.raises(CannotStart, match="cannot be run"):
        supervisor.wait()


def test_the_higher_stage_is_ended_first(supervisor: Supervisor, tmp_path: Path) -> None:
    note, server, way_in = tmp_path / "note", free_port(), free_port()
    supervisor.start(stand_in("server", server, "--note", str(note), stage=0))
    supervisor.start(stand_in("way-in", way_in, "--note", str(note), stage=1))
    supervisor.wait()
    supervisor.stop()
    assert note.read_text().split() == [str(way_in), str(server)]


def test_a_hurried_stop_waits_for_nobody(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever waits for this one has not stopped before the test is given up.
    monkeypatch.setattr("shared.local.supervisor.GRACE_SECONDS", 3600.0)
    supervisor.start(stand_in("stubborn", free_port(), "--stubborn"))
    supervisor.wait()
    hurrying = threading.Timer(0.2, supervisor.hurry)
    hurrying.start()
    supervisor.stop()
    hurrying.join()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_however_the_supervisor_ends_no_process_is_left(spawned: Spawn, tmp_path: Path, number: signal.Signals) -> None:
    supervisor, twin_id = spawned(tmp_path / "state")
    assert len(left(twin_id)) >= 6
    supervisor.send_signal(number)
    supervisor.wait(60)
    eventually(lambda: not left(twin_id), "no process of the twin")


def test_a_twin_killed_together_with_its_watchdog_is_cleared_by_the_next_start(spawned: Spawn, tmp_path: Path) -> None:
    supervisor, twin_id = spawned(tmp_path / "state")
    for child in psutil.Process(supervisor.pid).children():
        if "shared.local.watchdog" in child.cmdline():
            child.suspend()  # before the supervisor would replace it
            supervisor.kill()
            child.kill()
    supervisor.wait(60)
    assert left(twin_id)
    _, next_id = spawned(tmp_path / "state")
    assert left(twin_id) == []
    assert left(next_id)
