"""The namespaces in which a node runs: its processes, mounts and interfaces all end with one process.

Once that one is gone, the kernel kills all others in its namespace, and with the last of them go mounts, interfaces and
routes. Cgroups and the folder are left to the cleaner.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL

import psutil

from shared.local.supervisor import Child, Supervisor
from tests.knative.cluster.preflight import CGROUPS

HOLDER = "holder"
# Hidden below are places whose names cannot be set: of containerd's sockets, CNI's notes, the links to logs.
_MOUNTS = """
set -e
mount -t tmpfs tmpfs /run
mount -t overlay overlay -o "lowerdir=/var/lib,upperdir=$0/var-lib,workdir=$0/var-lib-work" /var/lib
mount --bind "$0/var-log" /var/log
mount --make-rshared /
touch "$0/enclosed"
while :; do sleep 3600 & wait $!; done
"""
_NAMESPACES = ("--mount", "--net", "--pid")


class Enclosure:
    """Made by `open`, ended by the supervisor."""

    def __init__(self, name: str, folder: Path) -> None:
        self.cgroup = f"/{name}"
        self._folder = folder
        self._name = name
        self.pid = 0

    def open(self, supervisor: Supervisor) -> None:
        """Start the process that holds the namespaces, and make the cgroups."""
        for name in ("var-lib", "var-lib-work", "var-log"):
            (self._folder / name).mkdir()
        _make_cgroups(self._name)
        command = ["unshare", *_NAMESPACES, "--fork", "--kill-child", "--mount-proc"]
        command += ["/bin/sh", "-c", _MOUNTS, str(self._folder)]
        done = self._folder / "enclosed"
        supervisor.start(Child(HOLDER, command, {"PATH": os.defpath}, done.exists, stop_signal=SIGKILL))
        supervisor.wait(HOLDER)
        self.pid = psutil.Process(supervisor.pid(HOLDER)).children()[0].pid

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command, run in the namespaces."""
        return inside(self.pid, command)


def inside(pid: int, command: Sequence[str]) -> list[str]:
    """The command, run in the namespaces of this process."""
    return ["nsenter", f"--target={pid}", *_NAMESPACES, "--", *command]


def _roots() -> list[Path]:
    """Where cgroups are made: the one hierarchy of version 2, or each of version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    # Two names may be links to one hierarchy.
    return sorted({path.resolve() for path in CGROUPS.iterdir() if path.is_dir()})


def _make_cgroups(name: str) -> None:
    for root in _roots():
        cgroup = root / name
        cgroup.mkdir()
        # A new cpuset is empty, and no process may enter it.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (cgroup / "cpuset.cpu_exclusive").exists():
                (cgroup / setting).write_text((root / setting).read_text())


def remove_cgroups(name: str) -> None:
    """Remove those of the name; whoever is still in one keeps it."""
    for root in _roots():
        for folder, _, _ in os.walk(root / name, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
