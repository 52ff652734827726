"""Whether this process was told to stop, for requests that would go on for minutes."""

import os
import select
import signal
import time

_told: int | None = None


def watch() -> None:
    """From now on every signal that the process handles is noticed. Only the main thread may call this.

    The server installs its own handlers later, and they stay: the interpreter writes each signal to a
    pipe as well, whoever handles it.
    """
    global _told  # a process has one pipe for its signals
    _told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)


def wait(seconds: float) -> bool:
    """Waits so long, and no longer than until the process is told to stop; whether it is."""
    if _told is None:
        time.sleep(seconds)
        return False
    # Nobody reads the pipe, so that everybody sees it.
    stop = select.poll()
    stop.register(_told, select.POLLIN)
    return bool(stop.poll(seconds * 1000))
