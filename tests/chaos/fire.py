"""Runs `facteur demo`, and finds the processes of a twin by the names that people know them by."""

import contextlib
import json
import os
import queue
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from shared.local.children import FUNCTIONS
from shared.local.watchdog import TWIN_ID, members
from tests.flow.conftest import OWN
from tests.integration.local.waiting import left

DEMO = [sys.executable, "-c", "from shared.cli.main import main; main()", "demo"]
# Another seed is another series of moments: FACTEUR_CHAOS_SEED=7 make test PYTEST_ARGS=tests/chaos
SEED = os.environ.get("FACTEUR_CHAOS_SEED", "1")
# Ends what hangs: what was lost may have to wait for the tick of the next minute.
PATIENCE = 300.0
MIDDLE = 0.8  # seconds after its first task within which a demo is certainly not over
MODULES = {"broker": "shared.local.broker", "node": "shared.local.node", "gateway": "shared.local.gateway"}
SERVERS = {"redis": "valkey-server", "postgres": "postgres"}


def moments(name: str) -> random.Random:
    """The random moments of one test: the same for the same seed."""
    return random.Random(f"{SEED} {name}")  # noqa: S311  # nobody must be unable to guess them


def find(twin_id: str, name: str) -> list[psutil.Process]:
    """The processes of this name, parents first: a function has a master and its worker."""
    found = [process for process in members(TWIN_ID, twin_id) if _is(process, name)]
    return sorted(found, key=lambda process: sum(parent in found for parent in _parents(process)))


def _is(process: psutil.Process, name: str) -> bool:
    with contextlib.suppress(psutil.Error):
        command = process.cmdline()
        if name in FUNCTIONS:
            return command[1:] == ["-m", "shared.web.serve", name]
        if name in MODULES:
            return command[1:3] == ["-m", MODULES[name]]
        if name == "agent":
            return command[1:] == ["-m", "shared.local.agent"]
        parent = process.parent()
        return process.name() == SERVERS[name] and (parent is None or parent.name() != SERVERS[name])
    return False


def _parents(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return process.parents()
    return []


def await_processes(twin_id: str, name: str, count: int, seconds: float = PATIENCE) -> list[psutil.Process]:
    """That many processes of this name, once they live."""
    deadline = time.monotonic() + seconds
    while len(found := find(twin_id, name)) < count:
        assert time.monotonic() < deadline, f"{count} processes of {name} were not found within {seconds} s"
        time.sleep(0.01)
    return found


class Demo:
    """`facteur demo` in a process of its own, with more variables. `said` is all that it has printed so far."""

    def __init__(self, state: Path, **more: str) -> None:
        self.state = state
        self.said = ""
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [*DEMO, "--state", str(state)],
            env={name: value for name, value in os.environ.items() if name not in OWN} | more,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def twin_id(self) -> str:
        return str(json.loads((self.state / "twin.json").read_text())["twin_id"])

    def until(self, beginning: str, seconds: float = PATIENCE) -> None:
        """Until it says a line that begins so."""
        while not self._next(seconds).startswith(beginning):
            pass

    def end(self, seconds: float = PATIENCE) -> int:
        """Its exit code."""
        deadline = time.monotonic() + seconds
        with contextlib.suppress(EOFError):
            while True:
                self._next(max(0.0, deadline - time.monotonic()))
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)

    def jobs(self) -> list[str]:
        """The names of all jobs that were handed over."""
        return sorted(path.name for path in (self.state / "jobs").glob("codex-*"))

    def _next(self, seconds: float) -> str:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"the demo said nothing more for {seconds:.0f} s:\n{self.said}") from None
        if line is None:
            raise EOFError(f"the demo has ended:\n{self.said}")
        return line

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.said += line
                self._lines.put(line)
        self._lines.put(None)


def under_way(demo: Demo, name: str) -> None:
    """Returns at a moment in the middle of the demo."""
    demo.until("POST")
    time.sleep(moments(name).uniform(0, MIDDLE))


def ended_right(demo: Demo) -> None:
    """The demo checks that every task was launched once; the folders of the jobs say it again."""
    assert demo.end() == 0, demo.said
    assert "Every task reached every station." in demo.said
    jobs = demo.jobs()
    assert len(jobs) == 4 and all(name.endswith("-1") for name in jobs)
    for name in jobs:
        assert (demo.state / "jobs" / name / "exit_code").read_text() == "0"
    assert left(demo.twin_id) == []
