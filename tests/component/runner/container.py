"""A container for tests: a child process with the contract's environment and files."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.component.runner.callback_server import TASK, TOKEN, Callback
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[3]
# Seconds of an attempt that ends by itself long before.
DEADLINE = 100.0

# What every test program starts with; `step` waits until the test has taken notice.
PRELUDE = """
import sys, time
from shared.runner import *
def step(word):
    print(word, flush=True)
    assert sys.stdin.readline(), "the test has gone"
"""


def eventually(condition: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
    """Polls until the condition holds; fails with `what` otherwise."""
    until = time.monotonic() + within
    while not condition():
        assert time.monotonic() < until, f"not within {within} s: {what}"
        time.sleep(0.01)


class Container:
    """The folder of one attempt, from which its process is started, and started again."""

    def __init__(self, folder: Path, callback: Callback, prompt: str = "Rename the button.\n") -> None:
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self.prompt = folder / "prompt"
        self.prompt.write_text(prompt, "utf-8")
        self.token = folder / "token"
        self.token.write_text(TOKEN + "\n")
        self.output = folder / "output.log"
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(ROOT),
            "CODEX_TASK_ID": TASK,
            "CODEX_ATTEMPT": "1",
            "CODEX_PROMPT_FILE": str(self.prompt),
            "CODEX_CALLBACK_URL": callback.url,
            "CODEX_CALLBACK_TOKEN_FILE": str(self.token),
            "CODEX_MEMORY_ENDPOINT": f"{callback.url}/memory",
            "CODEX_SPOOL_DIR": str(folder / "spool"),
        }
        self.set_deadline(DEADLINE)

    def set_deadline(self, seconds: float) -> None:
        when = datetime.now(UTC) + timedelta(seconds=seconds)
        self.env["CODEX_DEADLINE"] = when.isoformat().replace("+00:00", "Z")

    def start(self, program: str) -> "Process":
        return Process([sys.executable, "-c", PRELUDE + program], self)

    def start_agent(self) -> "Process":
        return Process([sys.executable, "-m", "shared.local.agent"], self)

    def run(self, program: str) -> int:
        """The exit code of a program that needs no steps."""
        with self.start(program) as process:
            return process.wait()

    def run_agent(self) -> int:
        with self.start_agent() as process:
            return process.wait()

    @property
    def said(self) -> str:
        return self.output.read_text("utf-8")


class Process:
    """A started container; none is left behind."""

    def __init__(self, command: Sequence[str], container: Container) -> None:
        self._container = container
        with container.output.open("wb") as output:
            self._child = subprocess.Popen(
                command,
                cwd=container.work,
                env=container.env,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.communicate()

    def reached(self, word: str) -> None:
        """Waits until the program has come to this step."""
        eventually(lambda: word in self._container.said.split() or self.over, f"step {word}")
        assert word in self._container.said.split(), self._container.said

    def go_on(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(b"go on\n")
        self._child.stdin.flush()

    def send(self, number: int) -> None:
        self._child.send_signal(number)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def over(self) -> bool:
        return self._child.poll() is not None

    def wait(self) -> int:
        return self._child.wait(PATIENCE + 10)
