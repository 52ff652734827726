"""A process that is told to stop hears it, whichever of its threads the kernel told."""

import subprocess
import sys

# The main thread waits for a lock, and refuses the signal: so another thread gets it.
PROGRAM = """
import os, signal, threading
from shared.web import stopping

over = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: over.set())
stopping.watch()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
over.wait()
assert stopping.wait(0)
"""


def test_a_signal_that_another_thread_took_wakes_the_main_thread() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
