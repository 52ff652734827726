"""Runs the jobs of a folder as child processes, each exactly once; what a kubelet is to pods.

It may be killed at any moment: the jobs run on below their shims, and the next node finds them.
"""

import argparse
import contextlib
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from shared.domain.job import JobPhase, JobState
from shared.local.announcements import Announcements
from shared.local.watchdog import TWIN_ID, reap
from shared.processes.jobs import NAME, read_job, read_state, write_private

SHIM = Path(__file__).with_name("shim.py")
SCAN_SECONDS = 0.1
GRACE_SECONDS = 5.0
AT_ONCE = 4
JOB = "FACTEUR_JOB"
UNSTARTABLE = "The job's process could not be started."
LOST = "The job's process is gone without an exit code: it was killed, or the machine or twin stopped."

log = logging.getLogger("node")


class JobFolder:
    """One job on disk: whether it may begin, whether it runs, how it ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.job = read_job(path)

    def begun(self) -> tuple[int, float] | None:
        """The shim's process id (also its group's) and the time of the start; None before it."""
        try:
            text = (self.path / "started").read_text()
        except FileNotFoundError:
            return None
        if not text:
            return None
        kept = json.loads(text)
        return int(kept["pid"]), float(kept["at"])

    def alive(self) -> bool:
        """Whether a shim holds the job now."""
        try:
            started = os.open(self.path / "started", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(started, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(started)
        return False

    def released(self) -> bool:
        return (self.path / "released").exists()

    def asked_to_stop(self) -> bool:
        return (self.path / "stop").exists()

    def expired(self, at: float) -> bool:
        return time.time() >= at + self.job.deadline_seconds

    def verdict(self, at: float) -> tuple[JobPhase, str]:
        """How a job that ran and runs no more has ended."""
        try:
            code = int((self.path / "exit_code").read_text())
        except FileNotFoundError:
            if self.asked_to_stop():
                return JobPhase.STOPPED, "Stopped while it ran."
            if self.expired(at):
                return JobPhase.EXPIRED, f"Not done within {self.job.deadline_seconds} s, so it was ended."
            return JobPhase.LOST, LOST
        if code == 0:
            return JobPhase.SUCCEEDED, ""
        how = f"exit code {code}" if code > 0 else f"killed by {signal.Signals(-code).name}"
        return JobPhase.FAILED, f"The job's process failed: {how}."

    def note(self, phase: JobPhase, reason: str = "") -> JobState:
        write_private(self.path / "status.json", json.dumps({"phase": phase, "reason": reason}))
        return read_state(self.path)


class Node:
    """Advances every job by one step at each `tick`; keeps nothing that the folders do not say."""

    def __init__(
        self,
        jobs: Path,
        ended: Callable[[JobState], None],
        base_env: Mapping[str, str],
        default_command: Sequence[str] = (),
        at_once: int = AT_ONCE,
    ) -> None:
        self._jobs = jobs
        self._ended = ended
        self._base_env = base_env
        self._default_command = default_command
        self._at_once = at_once
        self._open: dict[str, JobFolder] = {}
        self._closed: set[str] = set()
        self._shims: dict[str, subprocess.Popen[bytes]] = {}
        self._asked_at: dict[str, float] = {}

    def tick(self) -> None:
        self._discover()
        waiting = [name for name, folder in list(self._open.items()) if not self._watch(name, folder)]
        places = self._at_once - (len(self._open) - len(waiting))
        for name in waiting:
            folder = self._open[name]
            if folder.asked_to_stop():
                self._finish(name, folder, JobPhase.STOPPED, "Stopped before it began.")
            elif places > 0 and folder.released():
                self._spawn(name, folder)
                places -= 1

    def _discover(self) -> None:
        found = []
        for path in self._jobs.iterdir():
            if path.name in self._open or path.name in self._closed or not NAME.fullmatch(path.name):
                continue
            try:
                handed_over = (path / "job.json").stat().st_mtime_ns
                found.append((handed_over, path.name, JobFolder(path), read_state(path).phase.final))
            except (OSError, ValueError, TypeError, KeyError):
                log.error("%s is not a job; it is left alone", path)
                self._closed.add(path.name)
        for _, name, folder, final in sorted(found, key=lambda entry: entry[:2]):
            if final:
                self._closed.add(name)
            else:
                self._open[name] = folder

    def _watch(self, name: str, folder: JobFolder) -> bool:
        """One step of a job that was spawned; False where it still waits to be."""
        begun, alive = folder.begun(), folder.alive()  # in this order: what begins in between is alive
        if begun and alive:
            if read_state(folder.path).phase is JobPhase.PENDING:
                folder.note(JobPhase.RUNNING)
            self._enforce(name, folder, *begun)
        elif begun:
            self._finish(name, folder, *folder.verdict(begun[1]))
        elif not alive and name in self._shims and self._shims[name].poll() is not None:
            if not folder.begun():
                self._finish(name, folder, JobPhase.FAILED, UNSTARTABLE)
        else:
            return alive or name in self._shims
        return True

    def _spawn(self, name: str, folder: JobFolder) -> None:
        files = {path.name: str(path) for path in (folder.path / "files").iterdir()}
        own = {
            "HOME": str(folder.path / "work"),
            JOB: str(folder.path),
            TWIN_ID: self._base_env.get(TWIN_ID, ""),
        }
        command = [*(folder.job.command or self._default_command)]
        if not command:
            self._finish(name, folder, JobPhase.FAILED, "The job names no command.")
            return
        shim = [sys.executable, "-I", str(SHIM), str(folder.path)]
        try:
            self._shims[name] = subprocess.Popen(
                [*shim, *command],
                env={**self._base_env, **folder.job.env, **files, **own},
                cwd=folder.path,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:  # the arguments or the environment are too long, for example
            self._finish(name, folder, JobPhase.FAILED, UNSTARTABLE)

    def _enforce(self, name: str, folder: JobFolder, pid: int, at: float) -> None:
        if not (folder.asked_to_stop() or folder.expired(at)):
            return
        asked_at = self._asked_at.get(name)
        with contextlib.suppress(ProcessLookupError):
            if asked_at is None:
                self._asked_at[name] = time.monotonic()
                os.killpg(pid, signal.SIGTERM)
            elif time.monotonic() >= asked_at + GRACE_SECONDS:
                os.killpg(pid, signal.SIGKILL)

    def _finish(self, name: str, folder: JobFolder, phase: JobPhase, reason: str) -> None:
        reap(str(folder.path), JOB, grace=0.0)  # a job's end is the end of all that it started
        shim = self._shims.pop(name, None)
        if shim is not None:
            shim.wait()
        self._asked_at.pop(name, None)
        del self._open[name]
        self._closed.add(name)
        state = folder.note(phase, reason)
        log.info("%s %s", name, phase)
        self._ended(state)


def safe_env() -> dict[str, str]:
    """What every job may know of this process's environment: no setting and no secret of the twin."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", TWIN_ID) if key in os.environ}
    return {"PATH": os.defpath, "LANG": "C.UTF-8"} | kept


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m shared.local.node", description=__doc__)
    parser.add_argument("--jobs", type=Path, required=True, help="the folder of the jobs")
    parser.add_argument("--broker", required=True, help="where the end of a job is announced")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="how many jobs run at the same time")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    jobs = options.jobs.absolute()
    jobs.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(jobs / ".node", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # one node a folder: a second one waits for the end of the first
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    command = json.loads(os.environ.get("FACTEUR_RUNNER_COMMAND", "[]"))
    node = Node(jobs, Announcements(options.broker).add, safe_env(), command, options.at_once)
    while not done.wait(SCAN_SECONDS):
        node.tick()


if __name__ == "__main__":
    main()
