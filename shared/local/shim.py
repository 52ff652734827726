"""Stands between the launcher and one job's process: outlives the launcher and keeps the exit code.

`python -I shim.py FOLDER COMMAND…`, in a session of its own. While it lives it holds a lock on
FOLDER/started, so nobody needs to guess from a process id whether the job still runs; what it wrote
there says that the job began, which makes a second shim on the folder end without running anything.
Standard library only, and run by path: none of the project is loaded into a job's session.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

LOG_BYTES = 10 * 1024 * 1024
CUT = b"\n[the rest of the output was dropped: 10 MiB are kept]\n"
COULD_NOT_RUN = 127


def main() -> None:
    folder, command = Path(sys.argv[1]), sys.argv[2:]
    started = os.open(folder / "started", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(started, fcntl.LOCK_EX)
    if os.fstat(started).st_size:
        return
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())  # meant for the job; stay to drain its output
    os.write(started, json.dumps({"pid": os.getpid(), "at": time.time()}).encode())
    code = run(folder, command)
    if not told.is_set():  # a job that was told to end has no exit code of its own
        draft = folder / "exit_code.new"
        draft.write_text(str(code))
        draft.replace(folder / "exit_code")


def run(folder: Path, command: list[str]) -> int:
    """The exit code of the command; negative where a signal ended it."""
    with (folder / "output.log").open("wb") as log:
        try:
            job = subprocess.Popen(
                command,
                cwd=folder / "work",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            log.write(f"The command cannot be run: {error.strerror}\n".encode())
            return COULD_NOT_RUN
        assert job.stdout is not None  # noqa: S101 - it was asked for above
        pump = threading.Thread(target=keep, args=(job.stdout, log), daemon=True)
        pump.start()
        code = job.wait()
        pump.join(1.0)  # what it left in the background may hold the pipe open for ever
        return code


def keep(output: BinaryIO, log: BinaryIO) -> None:
    """Copy the output into the log up to its cap; read on past it, so that the job never blocks."""
    left = LOG_BYTES
    while chunk := os.read(output.fileno(), 65_536):
        if left:
            log.write(chunk[:left])
            left = max(0, left - len(chunk))
            if not left:
                log.write(CUT)
            log.flush()


if __name__ == "__main__":
    main()
