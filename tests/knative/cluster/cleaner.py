"""Removes what a node leaves on this machine, once its harness and its processes are gone, however they ended.

Like the watchdog, which ends the processes, it reads from a pipe whose other end only the harness holds.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from shared.local.watchdog import TWIN_ID, members
from tests.knative.cluster.enclosure import remove_cgroups

_REPOSITORY = Path(__file__).parents[3]
_PATIENCE_SECONDS = 30.0


class Cleaner:
    """Started before there is anything to remove."""

    def __init__(self, twin_id: str, cgroup: str, folder: Path | None) -> None:
        """`folder` is removed too, if it is given."""
        ours, self._life = os.pipe()
        command = [sys.executable, "-m", __name__, f"--pipe={ours}", f"--id={twin_id}", f"--cgroup={cgroup}"]
        command += [f"--folder={folder}"] if folder else []
        # Of no group and without the variable by which the others are found and ended.
        environment = {name: value for name, value in os.environ.items() if name != TWIN_ID}
        self._process = subprocess.Popen(
            command, cwd=_REPOSITORY, env=environment, pass_fds=[ours], start_new_session=True
        )
        os.close(ours)

    def finish(self) -> None:
        """Let it remove everything, and wait for it."""
        os.close(self._life)
        self._process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.knative.cluster.cleaner", description=__doc__)
    parser.add_argument("--pipe", type=int, required=True, help="the descriptor that ends with the harness")
    parser.add_argument("--id", required=True, help="what the node's processes carry in their environment")
    parser.add_argument("--cgroup", required=True, help="the name of the node's cgroup")
    parser.add_argument("--folder", type=Path, help="the folder to remove")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(arguments.pipe, 1):
        pass
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while members(TWIN_ID, arguments.id) and time.monotonic() < deadline:
        time.sleep(0.1)
    remove_cgroups(arguments.cgroup)
    if arguments.folder:
        shutil.rmtree(arguments.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
