"""Runs the children of a twin: starts them, waits until they serve, restarts what crashes, ends all."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from shared.local.state import CannotStart
from shared.local.watchdog import LAST_RESORT_SECONDS, TWIN_ID

READY_SECONDS = 30.0
GRACE_SECONDS = 5.0
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
HEALTHY_SECONDS = 10.0
CRASHES_BEFORE_READY = 5
TAIL_LINES = 20
LOG_BYTES = 20 * 1024 * 1024
WRONG_SETTINGS = 2  # the exit code by which a process says that trying again will not help


@dataclass(frozen=True, slots=True)
class Child:
    """One process to keep running. Those of a higher stage are ended first."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    ready: Callable[[], bool]
    stage: int = 0
    stop_signal: int = signal.SIGTERM
    user: int | None = None


class Supervisor:
    """`said` gets sentences for people; `restarted` the name of each child that serves again."""

    def __init__(
        self,
        twin_id: str,
        logs: Path,
        said: Callable[[str], None],
        restarted: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._twin_id = twin_id
        self._logs = logs
        self._said = said
        self._restarted = restarted
        self._keepers: dict[str, _Keeper] = {}
        self._hurry = threading.Event()
        # The write end is ours alone: however this process dies, the watchdog sees the pipe end.
        self._pipe, self._life = os.pipe()
        command = [sys.executable, "-m", "shared.local.watchdog", "--pipe", str(self._pipe)]
        watchdog = Child("watchdog", command, os.environ, ready=lambda: True)
        self._watchdog = self._keeper(watchdog, pass_fds=(self._pipe,))

    def start(self, child: Child) -> None:
        """Start the child and keep it running; does not wait."""
        self._keepers[child.name] = self._keeper(child)

    def wait(self, *names: str) -> None:
        """Until these (all, if none is named) serve. Raises CannotStart for one that cannot."""
        for name in names or tuple(self._keepers):
            self._keepers[name].await_first()

    def pid(self, name: str) -> int | None:
        """The process id of a child, None while it has none."""
        keeper = self._watchdog if name == self._watchdog.child.name else self._keepers[name]
        return keeper.pid

    def hurry(self) -> None:
        """Let a `stop` that is under way wait no longer."""
        self._hurry.set()

    def stop(self) -> None:
        """End all children, the highest stage first, then whatever they left behind. Repeatable."""
        keepers = list(self._keepers.values())
        for keeper in keepers:
            keeper.ending.set()
        for stage in sorted({keeper.child.stage for keeper in keepers}, reverse=True):
            self._end([keeper for keeper in keepers if keeper.child.stage == stage])
        self._keepers.clear()
        if self._life >= 0:
            self._watchdog.ending.set()
            os.close(self._life)
            self._life = -1
            self._watchdog.join(time.monotonic() + GRACE_SECONDS + LAST_RESORT_SECONDS)
            self._watchdog.signal(signal.SIGKILL)
            os.close(self._pipe)

    def _end(self, keepers: list["_Keeper"]) -> None:
        for keeper in keepers:
            keeper.signal(keeper.child.stop_signal)
        deadline = time.monotonic() + GRACE_SECONDS
        for keeper in keepers:
            keeper.join(deadline, self._hurry)
        for keeper in keepers:
            keeper.signal(signal.SIGKILL)
            keeper.join(time.monotonic() + GRACE_SECONDS)

    def _keeper(self, child: Child, pass_fds: tuple[int, ...] = ()) -> "_Keeper":
        log = self._logs / f"{child.name}.log"
        return _Keeper(child, self._twin_id, log, self._said, self._restarted, pass_fds)


class _Keeper:
    """One thread that keeps one child running."""

    def __init__(
        self,
        child: Child,
        twin_id: str,
        log: Path,
        said: Callable[[str], None],
        restarted: Callable[[str], None],
        pass_fds: tuple[int, ...],
    ) -> None:
        self.child = child
        self.ending = threading.Event()
        self._env = {**child.env, TWIN_ID: twin_id}
        self._log = log
        self._said = said
        self._restarted = restarted
        self._pass_fds = pass_fds
        self._process: subprocess.Popen[bytes] | None = None
        self._spawning = threading.Lock()
        self._settled = threading.Event()
        self._failure = f"{child.name} was ended before it was ready."
        self._thread = threading.Thread(target=self._keep, name=f"keep-{child.name}", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def await_first(self) -> None:
        self._settled.wait()
        if self._failure:
            raise CannotStart(self._failure)

    def signal(self, number: int) -> None:
        """Signal the child; SIGKILL goes to its whole process group."""
        with self._spawning, contextlib.suppress(ProcessLookupError):
            if self._process is not None and self._process.poll() is None:
                if number == signal.SIGKILL:
                    os.killpg(self._process.pid, number)
                else:
                    self._process.send_signal(number)

    def join(self, deadline: float, hurry: threading.Event | None = None) -> None:
        while self._thread.is_alive() and time.monotonic() < deadline and not (hurry and hurry.is_set()):
            self._thread.join(0.05)

    def _keep(self) -> None:
        try:
            self._keep_running()
        finally:
            self._settled.set()

    def _keep_running(self) -> None:
        pause, crashes, stopped_at, why = FIRST_PAUSE, 0, 0.0, ""
        while (process := self._spawn()) is not None:
            started_at = time.monotonic()
            if self._await_ready(process):
                if stopped_at:
                    took = time.monotonic() - stopped_at
                    self._said(f"{self.child.name} stopped ({why}), restarted in {took:.1f} s")
                    self._restarted(self.child.name)
                self._failure = ""
                self._settled.set()
            code = process.wait()
            stopped_at, why = time.monotonic(), describe(code)
            _end_group(process.pid)
            if stopped_at - started_at > HEALTHY_SECONDS:
                pause = FIRST_PAUSE
            crashes += 1
            if not self._settled.is_set() and (crashes >= CRASHES_BEFORE_READY or code == WRONG_SETTINGS):
                self._give_up(why)
                break
            self.ending.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        with self._spawning:
            if self.ending.is_set():
                return None
            too_long = self._log.exists() and self._log.stat().st_size > LOG_BYTES
            flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | (os.O_TRUNC if too_long else 0)
            with os.fdopen(os.open(self._log, flags, 0o600), "ab") as log:
                self._said_from = log.tell()
                try:
                    self._process = subprocess.Popen(
                        self.child.command,
                        env=self._env,
                        cwd="/" if self.child.user is not None else None,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        pass_fds=self._pass_fds,
                        user=self.child.user,
                        group=self.child.user,
                        extra_groups=None if self.child.user is None else [],
                        start_new_session=True,
                    )
                except OSError as error:
                    self._give_up(f"it cannot be run: {error.strerror}")
                    return None
            return self._process

    def _await_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        while process.poll() is None and not self.ending.is_set():
            if self.child.ready():
                return True
            if time.monotonic() > deadline:
                self._said(f"{self.child.name} is not ready after {READY_SECONDS:.0f} s and is ended")
                _end_group(process.pid)
                return False
            time.sleep(0.03)
        return False

    def _give_up(self, why: str) -> None:
        with self._log.open("rb") as log:
            log.seek(self._said_from)
            lines = log.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        self._failure = "\n".join([f"{self.child.name} could not start ({why}). The end of {self._log}:", *lines])


def describe(code: int) -> str:
    """How a process ended, in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _end_group(group: int) -> None:
    """Kill what is left of a child's process group and see it gone: it may hold the port."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline and any(_lives_in(group, process) for process in psutil.process_iter()):
        time.sleep(0.01)


def _lives_in(group: int, process: psutil.Process) -> bool:
    with contextlib.suppress(ProcessLookupError, psutil.Error):
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    return False
