"""Ends every process of a twin once its supervisor is gone, however that died.

It reads from a pipe whose other end only the supervisor holds: the end of that pipe is the end of
the supervisor, even by SIGKILL. The processes are found by FACTEUR_TWIN_ID in their environment.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable

import psutil

TWIN_ID = "FACTEUR_TWIN_ID"
LAST_RESORT_SECONDS = 5.0


def members(variable: str, value: str) -> set[psutil.Process]:
    """The living processes that carry the variable with this value, and all their descendants.

    Descendants, because a server may overwrite the environment of its own children (PostgreSQL does).
    """
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(variable) == value:
                found |= {process, *process.children(recursive=True)}
    return {process for process in found if process.pid != os.getpid() and _alive(process)}


def reap(value: str, variable: str = TWIN_ID, grace: float = 3.0) -> int:
    """End all of them: asked first, killed after `grace` seconds. Returns how many there were."""
    return _end(lambda: members(variable, value), grace)


def end(processes: Iterable[psutil.Process], grace: float) -> int:
    """End these processes and their descendants: asked first, killed after `grace` seconds."""
    known = set(processes)
    for process in list(known):
        with contextlib.suppress(psutil.Error):
            known |= set(process.children(recursive=True))
    return _end(lambda: {process for process in known if _alive(process)}, grace)


def _end(living: Callable[[], set[psutil.Process]], grace: float) -> int:
    asked: set[psutil.Process] = set()
    kill_at = time.monotonic() + grace
    while (left := living()) and time.monotonic() < kill_at + LAST_RESORT_SECONDS:
        if time.monotonic() >= kill_at:
            for process in left:
                _signal(process, signal.SIGKILL)
        for process in left - asked:
            _signal(process, signal.SIGTERM)
        asked |= left
        time.sleep(0.05)
    return len(asked)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.Error):
        if number == signal.SIGTERM and process.name() == "postgres":
            # Its postmaster alone is asked, by SIGINT: SIGTERM means "when all clients are gone".
            parent = process.parent()
            if parent is None or parent.name() != "postgres":
                process.send_signal(signal.SIGINT)
        else:
            process.send_signal(number)


def _alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m shared.local.watchdog", description=__doc__)
    parser.add_argument("--pipe", type=int, required=True, help="the descriptor that ends with the supervisor")
    pipe = parser.parse_args().pipe
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(pipe, 1):
        pass
    ended = reap(os.environ[TWIN_ID])
    print(f"The supervisor is gone; ended {ended} processes that it left.", file=sys.stderr)


if __name__ == "__main__":
    main()
