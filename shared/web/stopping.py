"""Whether this process was told to stop, for requests that would go on for minutes."""

import os
import select
import signal
import threading
import time

_FOR_EVER = float("inf")
# One would do, but for the moment in which the main thread is about to wait.
_NUDGES, _NUDGE_SECONDS = 10, 0.1

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
    signal.signal(signal.SIGURG, lambda *_: None)
    threading.Thread(target=_wake, args=(threading.get_ident(),), name="stopping", daemon=True).start()


def _wake(main: int) -> None:
    """Makes the main thread run the handlers of a signal that another thread took.

    The kernel may give a signal to a thread that is just being made. Handlers are run by the main thread alone,
    and as long as it waits for a lock it does not know: the process would go on as if nobody had told it.
    """
    wait(_FOR_EVER)
    for _ in range(_NUDGES):
        signal.pthread_kill(main, signal.SIGURG)
        time.sleep(_NUDGE_SECONDS)


def wait(seconds: float) -> bool:
    """Waits so long, and no longer than until the process is told to stop; whether it is."""
    if _told is None:
        time.sleep(seconds)
        return False
    # Nobody reads the pipe, so that everybody sees it.
    stop = select.poll()
    stop.register(_told, select.POLLIN)
    return bool(stop.poll(None if seconds == _FOR_EVER else seconds * 1000))
