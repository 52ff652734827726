"""Becomes the agent: `python -I -S agent_start.py PARENT COMMAND…`, so that it ends when its wrapper does.

On Linux the kernel kills it when PARENT dies, even by SIGKILL; what it starts itself is not reached by that.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
NOT_FOUND, NOT_RUNNABLE = 127, 126


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGKILL)
    # Python ignores these, and what is ignored stays so in the agent.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is what is wanted
    except OSError as error:
        print(f"The command cannot be run: {error.strerror}.", file=sys.stderr)
        sys.exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUNNABLE)


if __name__ == "__main__":
    main()
