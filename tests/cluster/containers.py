"""Containers as plain processes of this machine: no image, no isolation, no limits."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.local.watchdog import reap
from tests.cluster.volumes import NotReady, moved

Object = dict[str, Any]
MARK = "FACTEUR_TEST_CONTAINER"
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_MOST_GRACE_SECONDS = 5.0


class Container:
    """One process in a session of its own; `output.log` in its folder has what it says."""

    def __init__(self, folder: Path, command: Sequence[str], env: Mapping[str, str], work: Path | None = None) -> None:
        """Starts it; OSError where there is no such program."""
        home = folder / "work"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log = folder / "output.log"
        self._mark = str(folder)
        self._kill_at: float | None = None
        base = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": str(home)}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env={**base, **env, MARK: self._mark},
                cwd=work or home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def stopping(self) -> bool:
        return self._kill_at is not None

    def exit_code(self) -> int | None:
        """As a shell tells it, 137 after SIGKILL; None while it runs. Its end is the end of all that it started."""
        code = self._process.poll()
        if code is not None:
            reap(self._mark, MARK, grace=0.0)
        return code if code is None or code >= 0 else 128 - code

    def stop(self, grace: float) -> None:
        """Ask it to end; whoever calls this again later kills it once the grace is over."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + min(grace, _MOST_GRACE_SECONDS)
            self._send(signal.SIGTERM)
        elif time.monotonic() >= self._kill_at:
            self._send(signal.SIGKILL)

    def kill(self) -> None:
        """End it and all that it started, now."""
        self._send(signal.SIGKILL)
        self._process.wait()
        reap(self._mark, MARK, grace=0.0)

    def _send(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)


def start(container: Object, mounts: Mapping[str, Path], folder: Path, field: Callable[[str], str]) -> Container:
    """Start what the container's specification says; `field` knows the fields of its pod.

    What begins with the path of a mount is understood as the folder that is mounted there.
    """
    env: dict[str, str] = {}
    for variable in container.get("env") or []:
        env[variable["name"]] = moved(_expanded(_value(variable, field), env), mounts)
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    command = [moved(_expanded(word, env), mounts) for word in words]
    if not command:
        raise FileNotFoundError("no command specified")
    work = container.get("workingDir")
    return Container(folder, command, env, Path(moved(work, mounts)) if work else None)


def reason(code: int, container: Container) -> str:
    """How a kubelet names this end. Who is killed from elsewhere was, as far as anybody here knows, out of memory."""
    if code == 0:
        return "Completed"
    return "OOMKilled" if code == 128 + signal.SIGKILL and not container.stopping else "Error"


def _value(variable: Object, field: Callable[[str], str]) -> str:
    source = variable.get("valueFrom")
    if source is None:
        return str(variable.get("value", ""))
    if "fieldRef" not in source:
        told = f"{variable['name']}: only values and fieldRef are played here"
        raise NotReady("CreateContainerConfigError", told)
    return field(source["fieldRef"]["fieldPath"])


def _expanded(text: str, env: Mapping[str, str]) -> str:
    def known(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else env.get(found[1], found[0])

    return _REFERENCE.sub(known, text)
