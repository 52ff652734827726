"""Processes whose parent has died: on Linux they become ours, and are ended with the agent that started them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE = 2.0


def adopt() -> None:
    """From here on orphans among our descendants become our children, as in a container those of its first process."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury(agent: int) -> None:
    """Takes note of orphans that have ended, so that they leave no zombies; the agent's end is for others."""
    if not hasattr(os, "waitid"):
        return
    with contextlib.suppress(ChildProcessError):
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid == agent:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)


def end_all() -> None:
    """Kills every child, and the children that become ours by that, until there are none. For the end only."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        children = list(_children())
        if not children:
            return
        for child in children:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)


def _children() -> Iterator[int]:
    ours = str(os.getpid())
    for folder in Path("/proc").glob("[1-9]*"):
        with contextlib.suppress(OSError, IndexError):
            # The name, in parentheses, may hold anything.
            parent = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1]
            if parent == ours:
                yield int(folder.name)
