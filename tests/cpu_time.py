"""How long the processor is at some work, whatever else the machine does meanwhile."""

from collections.abc import Callable
from time import thread_time
from timeit import timeit


def cpu_seconds(work: Callable[[], object]) -> float:
    """The CPU time of this thread for `work`, without collections of garbage."""
    return timeit(work, timer=thread_time, number=1)
