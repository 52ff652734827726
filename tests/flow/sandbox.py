"""docker-compose.yml without containers: the same commands and variables, as processes of this machine.

PostgreSQL, Redis and the store are the tests' own; names of the network become ports, and volumes folders.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.local.children import status
from shared.local.node import JOB
from shared.local.state import free_port
from shared.local.watchdog import reap
from tests.architecture.compose import services, sourced
from tests.architecture.tree import FUNCTIONS, ROOT, kebab
from tests.integration.local.waiting import eventually

RUNNING = (*map(kebab, FUNCTIONS), "discord", "broker", "node", "gateway")
_ADDRESS = re.compile(r"\b(" + "|".join(RUNNING) + r"|0\.0\.0\.0):8080\b")
# Of the one service that shares the machine of another.
_BESIDE = re.compile(r"\b(?:127\.0\.0\.1|0\.0\.0\.0):8090\b")


@dataclass
class Sandbox:
    """The services of the file; `instead` replaces variables that name servers of containers."""

    folder: Path
    instead: Mapping[str, str]
    made: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    _services: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        file = self.folder / ".env"
        command = [sys.executable, "-m", "shared.cli.main", "sandbox", "--file", str(file)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
        self.made = sourced(file)
        self._services = services(self.made)
        self.ports = {name: free_port() for name in RUNNING}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['gateway']}"

    def run_once(self, name: str) -> None:
        """A service that ends by itself."""
        subprocess.run(self._command(name), cwd=ROOT, env=self._env(name), check=True, capture_output=True, timeout=240)

    def start(self, name: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                self._command(name), cwd=ROOT, env=self._env(name), stdout=log, stderr=log, start_new_session=True
            )

    def await_health(self, name: str) -> None:
        probe = self._services[name]["healthcheck"].get("test", [""])[-1]
        if found := re.search(r":80[89]0(/\w+)", probe):
            eventually(lambda: status("GET", self.ports[name], found[1]) == 200, f"{name} is healthy", 240)

    def _command(self, name: str) -> list[str]:
        """What the image or the file starts, with this Python."""
        service = self._services[name]
        said = [self._here(name, word) for word in service.get("command", [])]
        if said[:1] == ["python3"]:
            return [sys.executable, *said[1:]]
        function = service["build"]["args"]["FUNCTION"]
        start = ["shared.cli.main"] if function == "migrate" else ["shared.web.serve", function]
        return [sys.executable, "-m", *start, *said]

    def _env(self, name: str) -> dict[str, str]:
        said = {key: self._here(name, value) for key, value in self._services[name].get("environment", {}).items()}
        own = {key: value for key, value in self.instead.items() if key in said}
        # A job's `python3` is the one of the image.
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**said, **own, "PORT": str(self.ports.get(name, 0)), "PATH": path, "HOME": str(self.folder)}

    def _here(self, name: str, value: str) -> str:
        """A word of the file, with addresses and paths of this machine."""
        value = _ADDRESS.sub(lambda match: f"127.0.0.1:{self.ports.get(match[1], self.ports.get(name))}", value)
        value = _BESIDE.sub(f"127.0.0.1:{self.ports['discord']}", value)
        for volume in self._services[name].get("volumes", []):
            source, inside = volume.split(":")[:2]
            here = ROOT / source if source.startswith("./") else self.folder / source
            value = str(here) if value == inside else value
        return value


@contextmanager
def running(sandbox: Sandbox) -> Iterator[None]:
    """Everything that the file keeps running, until the end of the block."""
    jobs = sandbox.folder / "jobs"
    jobs.mkdir(mode=0o700)
    sandbox.run_once("migrate")
    with ExitStack() as stack:
        stack.callback(_end_jobs, jobs)
        processes = [stack.enter_context(sandbox.start(name)) for name in RUNNING]
        stack.callback(_end, processes)
        for name in RUNNING:
            sandbox.await_health(name)
        yield


def _end_jobs(folder: Path) -> None:
    """The container of the node would take them along."""
    for job in folder.iterdir():
        reap(str(job), JOB)


def _end(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
