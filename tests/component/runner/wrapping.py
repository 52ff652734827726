"""Agents for the wrapper: small programs, and a `codex` that plays a recorded stream."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.component.runner.container import Container, Process

STREAMS = Path(__file__).parent / "streams"

_CODEX = """#!/bin/sh
cat > "$PLAYED.prompt"
cat "$PLAYED"
exit "$PLAYED_CODE"
"""


def wrapped(container: Container, command: Sequence[str], *options: str) -> Process:
    """The wrapper around a command, started."""
    return Process([sys.executable, "-m", "shared.runner", *options, "--", *command], container)


def run(container: Container, command: Sequence[str], *options: str) -> int:
    """The exit code of the wrapper around a command."""
    with wrapped(container, command, *options) as process:
        return process.wait()


def python(program: str) -> list[str]:
    """The command of an agent that is a Python program."""
    return [sys.executable, "-c", program]


def playing(container: Container, stream: str, code: int = 0) -> list[str]:
    """The command of a `codex` that says what was recorded, and ends with this exit code."""
    tools = container.folder / "tools"
    tools.mkdir(exist_ok=True)
    codex = tools / "codex"
    codex.write_text(_CODEX)
    codex.chmod(0o755)
    played = container.folder / "played"
    played.write_text(stream, "utf-8")
    container.env |= {
        "PATH": f"{tools}{os.pathsep}{container.env['PATH']}",
        "PLAYED": str(played),
        "PLAYED_CODE": str(code),
    }
    return ["codex", "exec", "--json"]


def recorded(name: str) -> str:
    return (STREAMS / f"{name}.jsonl").read_text("utf-8")


def processes_with(mark: str) -> list[int]:
    """Processes, but not zombies, that have `mark` in their command line."""
    found = []
    for folder in Path("/proc").glob("[1-9]*"):
        try:
            if mark.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def kill(pids: Sequence[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def git(folder: Path, *arguments: str) -> str:
    """What git says, with nobody's configuration."""
    people = {f"GIT_{who}_{what}": "a@b.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **people}
    done = subprocess.run(["git", *arguments], cwd=folder, env=env, capture_output=True, check=True, timeout=30)
    return done.stdout.decode().strip()
