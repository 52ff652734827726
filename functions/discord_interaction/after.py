"""What follows an acknowledgement: done by a few threads, again and again until it succeeds or its time is up."""

import heapq
import logging
import random
import threading
import time
from collections.abc import Callable
from multiprocessing.util import Finalize
from typing import NamedTuple, TypeVar

from shared.domain.errors import FacteurError, Unavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

_BASE_SECONDS, _CAP_SECONDS = 1.0, 30.0
# Whatever was away: what is left to be done is to say so.
_LAST_CAP_SECONDS = 5.0
# What a process that is told to stop still does.
_LAST_SECONDS = 5.0


class Try(NamedTuple):
    """One of several attempts, counted from 0. After a `last` one there is none, unless it was in vain too."""

    number: int
    last: bool


class _Job(NamedTuple):
    due: float
    order: int
    until: float
    end: float
    tries: int
    work: Callable[[Try], None]


class After:
    """Threads that start with the first job. A job raises Unavailable to be tried again.

    Nothing is kept if the process dies, so each job is safe to do twice, and what must not be lost is with the
    broker before.
    """

    def __init__(self, threads: int = 16, capacity: int = 10_000) -> None:
        self._threads = threads
        self._capacity = capacity
        self._jobs: list[_Job] = []
        self._changed = threading.Condition()
        self._taken = 0
        self._busy = 0
        self._stopping = False

    def take(self, work: Callable[[Try], None], seconds: float, wait: float = 0.0, grace: float = 0.0) -> bool:
        """Does `work` after `wait` seconds, and again for as long as `seconds`; False if there is too much already.

        Then follows the last try, which is repeated for `grace` seconds if it raises Unavailable.
        """
        with self._changed:
            if len(self._jobs) >= self._capacity:
                return False
            if not self._taken:
                self._start()
            now = time.monotonic()
            self._put(_Job(now + wait, self._taken, now + seconds, now + seconds + grace, 0, work))
            return True

    def drain(self, seconds: float) -> None:
        """Does everything now, for the last time; waits for it at most so long."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._jobs and not self._busy, seconds)

    def _start(self) -> None:
        for number in range(self._threads):
            threading.Thread(target=self._run, name=f"after-{number}", daemon=True).start()
        # The server's worker is a child of multiprocessing, which runs its own finalizers and not atexit's.
        Finalize(None, self.drain, (_LAST_SECONDS,), exitpriority=3)

    def _put(self, job: _Job) -> None:
        self._taken += 1
        heapq.heappush(self._jobs, job)
        self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                job = self._next()
                self._busy += 1
                last = self._stopping or time.monotonic() >= job.until
            again = self._done(job, Try(job.tries, last))
            with self._changed:
                self._busy -= 1
                if again:
                    self._put(again._replace(order=self._taken))
                self._changed.notify_all()

    def _next(self) -> _Job:
        while True:
            wait = self._jobs[0].due - time.monotonic() if self._jobs else None
            if wait is not None and (wait <= 0 or self._stopping):
                return heapq.heappop(self._jobs)
            self._changed.wait(wait)

    def _done(self, job: _Job, this: Try) -> _Job | None:
        """The job as it is to be tried again, None if it is over."""
        try:
            job.work(this)
        except Unavailable as error:
            now = time.monotonic()
            end = min(job.end, now + _LAST_CAP_SECONDS) if this.last else job.until
            if not this.last or (now < end and not self._stopping):
                pause = random.uniform(0.5, 1) * min(_CAP_SECONDS, _BASE_SECONDS * 2 ** min(job.tries, 16))  # noqa: S311
                return job._replace(due=min(now + max(pause, error.retry_after), end), tries=job.tries + 1)
        except Exception:  # the thread must go on
            log.exception("an interaction was not followed up")
        return None


class Briefly:
    """Looks at something in another thread, and does without it after a while; at most `at_once` look at a time."""

    def __init__(self, seconds: float = 1.0, at_once: int = 8) -> None:
        self._seconds = seconds
        self._places = threading.BoundedSemaphore(at_once)

    def __call__(self, look: Callable[[], T], otherwise: T) -> T:
        """What `look` returns, `otherwise` if it takes too long, fails, or too many look already."""
        if not self._places.acquire(blocking=False):
            return otherwise
        found: list[T] = []
        done = threading.Event()

        def work() -> None:
            try:
                found.append(look())
            except FacteurError as error:
                log.info("done without a look", extra={"facts": {"error": type(error).__name__}})
            except Exception:  # whoever waits goes on without it
                log.exception("done without a look")
            finally:
                self._places.release()
                done.set()

        threading.Thread(target=work, name="look", daemon=True).start()
        done.wait(self._seconds)
        return found[0] if found else otherwise
