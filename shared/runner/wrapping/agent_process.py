"""The agent as a child process: its prompt, its output, its end, and the end of all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from shared.runner.wrapping import agent_start, orphans
from shared.runner.wrapping.output import pump

Take = Callable[[Sequence[str]], None]

_DRAIN = 1.0


class Agent:
    """Runs in a session and process group of its own. `ended` is called once, in a thread, with the exit code."""

    def __init__(
        self,
        command: Sequence[str],
        workspace: Path,
        env: Mapping[str, str],
        prompt: bytes,
        ended: Callable[[int], None],
    ) -> None:
        orphans.adopt()
        pipe = subprocess.PIPE
        start = [sys.executable, "-I", "-S", agent_start.__file__, str(os.getpid()), *command]
        self._process = subprocess.Popen(
            start, cwd=workspace, env=dict(env), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        self._ended = ended
        self._readers: list[threading.Thread] = []
        _thread(self._feed, prompt)

    def listen(self, mask: Callable[[bytes], bytes], stdout: Take, stderr: Take) -> None:
        """Hands lines on, and passes them through to the standard streams of this process."""
        for source, target, take in ((self._process.stdout, 1, stdout), (self._process.stderr, 2, stderr)):
            self._readers.append(_thread(_read, source, target, mask, take))
        _thread(self._wait)

    def signal(self, number: int) -> None:
        """Sends a signal to the whole group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def bury_orphans(self) -> None:
        orphans.bury(self._process.pid)

    def finish(self) -> None:
        """After the agent's end: takes what is left in the pipes, and ends what it left running.

        Whatever still holds a pipe then is not waited for.
        """
        self._join()
        self.signal(signal.SIGKILL)
        orphans.end_all()
        self._join()

    def _feed(self, prompt: bytes) -> None:
        # The agent may close its input, or end, before it has read everything.
        with contextlib.suppress(OSError), _stream(self._process.stdin) as stdin:
            stdin.write(prompt)

    def _wait(self) -> None:
        self._ended(self._process.wait())

    def _join(self) -> None:
        until = time.monotonic() + _DRAIN
        for reader in self._readers:
            reader.join(max(0.0, until - time.monotonic()))


def reason(code: int) -> str:
    """An exit code in words; negative where a signal ended the process."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _read(source: IO[bytes] | None, target: int, mask: Callable[[bytes], bytes], take: Take) -> None:
    with _stream(source) as stream:
        pump(stream.fileno(), target, mask, take)


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - all three were asked for
    return stream


def _thread(work: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread
