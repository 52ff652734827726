"""`facteur dev` is stopped by a signal, whenever it comes."""

import subprocess
import sys

# A finalizer in which the signal arrives: Python ignores what is raised there.
SWALLOWED = """
import os, signal
from shared.cli import dev

class Loose:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

class Twin:
    def __init__(self, settings, said): pass
    def start(self): Loose()
    def stop(self): print("the twin is stopped", flush=True)
    def hurry(self): pass

dev.Twin, dev.show = Twin, lambda *_: None
dev.dev()
"""


def test_a_signal_that_got_lost_in_a_finalizer_stops_the_twin_where_it_waits() -> None:
    done = subprocess.run([sys.executable, "-c", SWALLOWED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["starting…", "the twin is stopped", "stopped"]
