"""Runs a command beside servers of the tests, so that a signal ends it first and lets the servers be cleaned up."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from types import FrameType

import psutil

from shared.local.state import CannotStart
from shared.local.watchdog import end

_GRACE_SECONDS = 10.0


class Ended(BaseException):
    """This process was told to end, by the signal with this number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def raise_on_signals() -> None:
    """Let the first signal that asks for an end raise Ended; a second one would interrupt the clean-up."""
    _on_signals(_end)


def run_with(environment: Mapping[str, str], command: list[str]) -> int:
    """Run the command with these variables besides ours; its exit code as a shell says it."""
    try:
        process = subprocess.Popen(command, env={**os.environ, **environment})
    except OSError as error:
        raise CannotStart(f"{command[0]} cannot be run: {error.strerror}.") from None
    try:
        code = process.wait()
    except Ended as ended:
        # A terminal has sent Ctrl-C to the command as well, which may have something to say.
        if ended.number == signal.SIGINT:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_SECONDS)
        with contextlib.suppress(psutil.NoSuchProcess):
            end([psutil.Process(process.pid)], _GRACE_SECONDS)
        raise
    finally:
        _on_signals(signal.SIG_IGN)
    return code if code >= 0 else 128 - code


def _end(number: int, _: FrameType | None) -> None:
    _on_signals(signal.SIG_IGN)
    raise Ended(number)


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)
