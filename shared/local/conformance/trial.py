"""One short run of the container against one stand-in."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.local.conformance.containers import CannotRun, Container, Running
from shared.local.conformance.server import served
from shared.local.conformance.stand_in import StandIn

PROMPT = "Write a file hello.txt with the one word hello in it, and say what you did.\n"
GRACE_SECONDS = 30.0
_LOOK_SECONDS = 0.05
_TAIL = 2000


@dataclass(frozen=True)
class Scenario:
    """What is different in a run. One that `stops` is over some seconds after the stand-in's moment."""

    stand_in: type[StandIn] = StandIn
    prompt: bool = True
    env: Mapping[str, str] = field(default_factory=dict)
    stops: bool = False
    terminates: bool = False


@dataclass(frozen=True)
class Trial:
    """What happened. `exit_code` is None if it had to be killed, after `seconds`."""

    stand_in: StandIn
    exit_code: int | None
    seconds: float
    output: bytes

    @property
    def last_words(self) -> str:
        """The end of the output, without the token."""
        said = self.output[-_TAIL:].decode("utf-8", "replace").replace(self.stand_in.token, "[token]")
        return next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "")


def run(container: Container, scenario: Scenario, prompt: str, timeout: float) -> Trial:
    """Runs the container once. Nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="facteur-check-") as name, served(scenario.stand_in()) as stand_in:
        folder = Path(name)
        env = _prepare(folder, scenario, stand_in, prompt, timeout)
        began = time.monotonic()
        log = folder / "output.log"
        with log.open("wb") as output:
            running = container.start(folder, env, output)
            try:
                code = _attend(running, scenario, stand_in, timeout)
                seconds = time.monotonic() - began
            except CannotRun as error:
                raise CannotRun(f"{error}: {_complaint(log.read_text('utf-8', 'replace'))}") from None
            finally:
                running.kill()
        return Trial(stand_in, code, seconds, log.read_bytes())


def _complaint(said: str) -> str:
    """What an engine says is wrong; the hint at its help, which comes last, is no help."""
    lines = [line.strip() for line in said[-_TAIL:].splitlines() if line.strip() and "--help" not in line]
    return lines[-1] if lines else "it does not say why"


def _attend(running: Running, scenario: Scenario, stand_in: StandIn, timeout: float) -> int | None:
    if not scenario.stops:
        return running.wait(timeout)
    until = time.monotonic() + timeout
    while not stand_in.reached.is_set():
        code = running.wait(_LOOK_SECONDS)
        if code is not None or time.monotonic() > until:
            return code
    if scenario.terminates:
        running.terminate()
        stand_in.released.set()
    return running.wait(GRACE_SECONDS)


def _prepare(folder: Path, scenario: Scenario, stand_in: StandIn, prompt: str, timeout: float) -> dict[str, str]:
    """The files of the attempt, and its environment but for their paths. What is empty is not set."""
    (folder / "work").mkdir()
    (folder / "files").mkdir()
    contents = {"CODEX_CALLBACK_TOKEN_FILE": stand_in.token}
    if scenario.prompt:
        contents["CODEX_PROMPT_FILE"] = prompt
    for variable, content in contents.items():
        file = folder / "files" / variable
        file.write_text(content, "utf-8")
        file.chmod(0o444)  # a container's user is not ours
    env = {
        "CODEX_PROMPT_FILE": "/nonexistent/prompt",
        "CODEX_TASK_ID": str(stand_in.task),
        "CODEX_ATTEMPT": "1",
        "CODEX_CALLBACK_URL": f"{stand_in.url}{stand_in.path}",
        "CODEX_MEMORY_ENDPOINT": f"{stand_in.url}{stand_in.path}/memory",
        "CODEX_DEADLINE": (datetime.now(UTC) + timedelta(seconds=timeout)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        **scenario.env,
    }
    return {name: value for name, value in env.items() if value}
