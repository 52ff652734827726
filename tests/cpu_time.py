"""How long the processor is at some work, whatever else the machine does meanwhile."""

from collections.abc import Callable
from time import thread_time
from timeit import repeat


def cpu_seconds(work: Callable[[], object]) -> float:
    """The CPU time of this thread for `work`, without collections of garbage.

    The least of three measurements: what a machine that stands still adds to one of them belongs to no code.
    """
    return min(repeat(work, timer=thread_time, number=1, repeat=3))
