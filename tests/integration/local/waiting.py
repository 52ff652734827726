"""Waiting with a deadline, and small programs that stand in for a twin's processes."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from shared.local.children import status
from shared.local.supervisor import Child
from shared.local.watchdog import TWIN_ID, members

HERE = Path(__file__).parent


def eventually(holds: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Return once it holds; fail with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def left(twin_id: str) -> list[str]:
    """The processes of a twin that still live."""
    return [str(process) for process in members(TWIN_ID, twin_id)]


def stand_in(name: str, port: int, *arguments: str, stage: int = 0) -> Child:
    """A child that serves /readyz and /pid on the port; see stand_in.py for its arguments."""
    command = [sys.executable, "-S", str(HERE / "stand_in.py"), str(port), *arguments]
    return Child(name, command, {}, ready=lambda: status("GET", port, "/readyz") == 200, stage=stage)
