"""What is checked, started as a container is: a command as a process of this machine, an image by docker or podman."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

ENGINES = ("docker", "podman")
USER = 65532
_FILES = "/var/run/codex"
_WORK = "/workspace"
_ENGINE_FAILED = 125
_ENGINE_SECONDS = 30


class CannotRun(Exception):
    """It cannot even be started; the message says what to do."""


class Running(Protocol):
    """A started container."""

    def wait(self, seconds: float) -> int | None:
        """The exit code, None if it still runs after so many seconds."""

    def terminate(self) -> None:
        """SIGTERM, as before a pod is deleted."""

    def kill(self) -> None:
        """Its end, and of all that it started. Safe to repeat, and after the end."""


class Container(Protocol):
    """What can be started any number of times."""

    def start(self, folder: Path, env: Mapping[str, str], output: IO[bytes]) -> Running:
        """`folder` holds `files` and `work`; `env` the contract, with the names of files for their paths."""


@dataclass(frozen=True)
class Command:
    """A program of this machine with its arguments."""

    arguments: Sequence[str]
    passed: Mapping[str, str]

    def start(self, folder: Path, env: Mapping[str, str], output: IO[bytes]) -> "Running":
        (folder / "tmp").mkdir()
        own = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        places = {"HOME": str(folder / "work"), "TMPDIR": str(folder / "tmp")}
        files = {file.name: str(file) for file in (folder / "files").iterdir()}
        return _Process(self.arguments, {**own, **places, **self.passed, **env, **files}, folder / "work", output)


@dataclass(frozen=True)
class Image:
    """An image, run as a Job's pod runs it: no root, no capabilities, nothing to write to but two folders."""

    engine: str
    name: str
    arguments: Sequence[str]
    passed: Mapping[str, str]

    def start(self, folder: Path, env: Mapping[str, str], output: IO[bytes]) -> "Running":
        name = f"facteur-check-{secrets.token_hex(6)}"
        files = {file.name: f"{_FILES}/{file.name}" for file in (folder / "files").iterdir()}
        told = {**env, **files, "HOME": _WORK}
        # By name alone: values of the user's may be secrets, and command lines can be read by everybody.
        variables = [f"--env={variable}" for variable in (*self.passed, *told)]
        options = [
            *(f"--name={name}", "--rm", "--network=host", "--read-only", f"--user={USER}:{USER}", "--cap-drop=ALL"),
            "--security-opt=no-new-privileges",
            *(f"--tmpfs={place}:rw,exec,mode=1777" for place in (_WORK, "/tmp")),  # noqa: S108 - the container's own
            *(f"--workdir={_WORK}", f"--volume={folder / 'files'}:{_FILES}:ro,z"),
        ]
        command = [self.engine, "run", *options, *variables, self.name, *self.arguments]
        return _Contained(self.engine, name, _Process(command, {**os.environ, **self.passed, **told}, folder, output))


class _Process:
    def __init__(self, command: Sequence[str], env: Mapping[str, str], folder: Path, output: IO[bytes]) -> None:
        try:
            self._child = subprocess.Popen(
                command,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            reason = (error.strerror or "unknown").lower()
            raise CannotRun(f"{command[0]} cannot be started: {reason}") from None

    def wait(self, seconds: float) -> int | None:
        try:
            code = self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        return code if code >= 0 else 128 - code

    def terminate(self) -> None:
        self._child.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()


class _Contained:
    """The engine's client is a process as well, and ends as its container does."""

    def __init__(self, engine: str, name: str, client: _Process) -> None:
        self._engine = engine
        self._name = name
        self._client = client

    def wait(self, seconds: float) -> int | None:
        code = self._client.wait(seconds)
        if code == _ENGINE_FAILED:
            raise CannotRun(f"{Path(self._engine).name} cannot run this image")
        return code

    def terminate(self) -> None:
        self._tell("kill", "--signal=TERM", self._name)

    def kill(self) -> None:
        self._tell("rm", "--force", self._name)
        self._client.kill()

    def _tell(self, *arguments: str) -> None:
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run([self._engine, *arguments], capture_output=True, timeout=_ENGINE_SECONDS, check=False)


def find(arguments: Sequence[str], engine: str, passed: Mapping[str, str]) -> Container:
    """A command if the first argument is a program, or there are several; else, or if an engine is named, an image."""
    program, several = shutil.which(arguments[0]), len(arguments) > 1
    if not engine and program:
        return Command([str(Path(program).absolute()), *arguments[1:]], passed)
    if not engine and (several or arguments[0].startswith(("/", "."))):
        raise CannotRun(f"{arguments[0]} is no program here; --engine says that it is an image")
    known = [name for name in ([engine] if engine else ENGINES) if shutil.which(name)]
    if not known:
        looked = engine or " or ".join(ENGINES)
        raise CannotRun(f"{arguments[0]} is no program here, and there is no {looked} to run it as an image")
    return Image(known[0], arguments[0], arguments[1:], passed)
