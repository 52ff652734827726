"""The second use case: on each tick, and when a job changes, every open run is compared with its job."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from functions.dispatcher.dispatch import Dispatch
from functions.dispatcher.ends import pause, verdict
from functions.dispatcher.launch import Snapshots
from functions.dispatcher.recipe import name_of
from shared.domain.errors import Rejected, Unavailable
from shared.domain.job import JobPhase, JobState
from shared.domain.report import Snapshot
from shared.domain.run import RETRIED_FROM, RunState
from shared.domain.task import EndedRun, Mode, OpenRun, Run
from shared.events.event import Event

log = logging.getLogger(__name__)

# What is left after so many belongs to the next tick: runs wait for this one too.
ROUNDS = 20
GRACE_SECONDS = 60.0
_NOBODY = UUID(int=0)

Listed = Mapping[tuple[str, str], JobState]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a launch may be tried, and how long a container may take to start, in seconds."""

    launch: float = 900.0
    start: float = 600.0


class Runs(Protocol):
    """The runs that are not finished, and those that are over with something left to do."""

    def open(self) -> Sequence[OpenRun]: ...

    def open_by_resource(self, resource: str) -> OpenRun | None: ...

    def open_by_id(self, run: UUID) -> OpenRun | None: ...

    def unsettled(self, resource: str | None = None) -> Sequence[EndedRun]: ...

    def settle(self, run: Run, after: Snapshot | None, diff: str) -> None: ...

    def where_they_stand(self, runs: Sequence[UUID]) -> Mapping[UUID, tuple[int, RunState]]: ...


class Launches(Protocol):
    """Attempts that are followed by another, or that wait to start."""

    def retry(self, run: Run, reason: str, wait_seconds: float) -> bool: ...

    def note(self, run: Run, reason: str) -> None: ...


class Queue(Protocol):
    """Says why runs wait."""

    def explain(self, run: UUID | None = None) -> None: ...


class Jobs(Protocol):
    """Jobs by name and namespace, and what became of them; `all` lists those that are not retired."""

    def all(self, namespaces: Collection[str]) -> Sequence[JobState]: ...

    def look(self, name: str, namespace: str) -> JobState | None: ...

    def release(self, name: str, namespace: str, made: str) -> None: ...

    def stop(self, name: str, namespace: str) -> None: ...

    def discard(self, name: str, namespace: str) -> None: ...

    def retire(self, name: str, namespace: str) -> None: ...


class Outbox(Protocol):
    """Events that the functions could not hand to the broker."""

    def relay(self, publish: Callable[[Event], None]) -> int: ...


class LookAfter:
    """Relaunches what got stuck, ends what has ended without saying so, stops what is too late, clears away."""

    def __init__(
        self,
        runs: Runs,
        launches: Launches,
        queue: Queue,
        doors: Mapping[Mode, Jobs],
        dispatch: Dispatch,
        snapshots: Snapshots,
        outbox: Outbox,
        publish: Callable[[Event], None],
        patience: Patience,
    ) -> None:
        self._runs = runs
        self._launches = launches
        self._queue = queue
        self._doors = doors
        self._dispatch = dispatch
        self._snapshots = snapshots
        self._outbox = outbox
        self._publish = publish
        self._patience = patience

    def tick(self) -> None:
        """Compares everything with everything. What is away for one run does not hold up the others."""
        self._relay()
        opened, ended = self._runs.open(), self._runs.unsettled()
        listed = self._list({run.namespace for run in [*(one.run for one in opened), *(one.run for one in ended)]})
        for open_run in opened:
            _go_on_without(self._compare, open_run, listed)
        for ended_run in ended:
            _go_on_without(self._settle, ended_run, listed)
        _go_on_without(self._clear_away, listed)
        _go_on_without(self._dispatch.fill)
        self._queue.explain()

    def job_changed(self, name: str) -> None:
        """Compares the run of one job, and gives its place to the next."""
        open_run = self._runs.open_by_resource(name)
        if open_run:
            self._compare(open_run, {})
        for ended_run in self._runs.unsettled(name):
            self._settle(ended_run, {})
            self._dispatch.fill()

    def cancel_requested(self, task: UUID) -> None:
        """Ends a run as its caller wants, unless it is over."""
        open_run = self._runs.open_by_id(task)
        if open_run:
            self._compare(open_run, {})

    def _relay(self) -> None:
        relayed = 0
        for _ in range(ROUNDS):
            sent = self._outbox.relay(self._publish)
            relayed += sent
            if not sent:
                break
        if relayed:
            log.info("relayed events that were left over", extra={"facts": {"events": relayed}})

    def _list(self, namespaces: Collection[str]) -> Listed:
        listed: dict[tuple[str, str], JobState] = {}
        for mode, door in self._doors.items():
            try:
                listed |= {(mode, state.name): state for state in door.all(namespaces)}
            except (Unavailable, Rejected) as error:
                log.warning("jobs cannot be listed", extra={"facts": {"mode": mode, "why": str(error)}})
        return listed

    def _look(self, run: Run, listed: Listed) -> JobState | None:
        name = name_of(run)
        found = listed.get((run.mode, name))
        door = self._doors.get(Mode(run.mode))
        return found or (door.look(name, run.namespace) if door else None)

    def _compare(self, open_run: OpenRun, listed: Listed) -> None:
        run = open_run.run
        if open_run.canceled_by:
            # A launch in progress looks for itself before it lets the job run; one that hangs cannot.
            if run.status is not RunState.LAUNCHING or open_run.launch_due:
                self._dispatch.cancel(run, open_run.canceled_by)
        elif run.status is RunState.LAUNCHING and open_run.waited_seconds > self._patience.launch:
            self._dispatch.stop(run)
            self._dispatch.end(run, RunState.FAILED, f"could not be launched within {self._patience.launch:.0f} s")
        elif open_run.launch_due:
            self._dispatch(run.id)
        elif run.status is RunState.RUNNING:
            self._compare_job(open_run, self._look(run, listed))

    def _compare_job(self, open_run: OpenRun, job: JobState | None) -> None:
        run = open_run.run
        if job is None:
            self._conclude(run, RunState.FAILED, "the job has disappeared: it was deleted", JobPhase.STOPPED)
        elif job.phase is JobPhase.HELD:
            self._doors[Mode(run.mode)].release(job.name, run.namespace, job.made)
        elif job.phase.final:
            self._conclude(run, *verdict(job), job.phase)
        elif open_run.expired:
            self._dispatch.stop(run)
            self._dispatch.end(run, RunState.EXPIRED, "the deadline has passed")
        elif job.phase is JobPhase.PENDING and open_run.waited_seconds > self._patience.start:
            waited = f"the container did not start within {self._patience.start:.0f} s"
            reason = f"{waited}: {job.reason}" if job.reason else waited
            self._conclude(run, RunState.FAILED, reason, JobPhase.UNSTARTED)
        elif job.phase is JobPhase.PENDING and job.reason:
            self._launches.note(run, f"waits to start: {job.reason}")

    def _conclude(self, run: Run, state: RunState, reason: str, cause: JobPhase) -> None:
        """Ends the attempt; the run too, unless the policy grants another attempt after such an end."""
        granted = self._dispatch.judge(run)
        if granted.allowed and cause in granted.retry_on and run.attempt < granted.attempts:
            self._dispatch.stop(run)
            if self._launches.retry(run, f"attempt {run.attempt} ended, another follows: {reason}", pause(run)):
                return
        if cause is JobPhase.UNSTARTED:
            self._dispatch.stop(run)
        self._dispatch.end(run, state, reason)

    def _settle(self, ended: EndedRun, listed: Listed) -> None:
        """What follows an end: the job is over too, the targets are looked at, the job may be cleaned up."""
        run, door = ended.run, self._doors.get(Mode(ended.run.mode))
        if not (door and ended.launched):
            self._runs.settle(run, None, "")
            return
        job = self._look(run, listed)
        if job and not job.phase.final:
            reported = run.status in (RunState.SUCCEEDED, RunState.FAILED)
            if not reported or ended.ended_seconds > GRACE_SECONDS:
                door.stop(job.name, run.namespace)
            return
        after, diff = self._snapshots.after(run)
        if job:
            door.retire(job.name, run.namespace)
        self._runs.settle(run, after, diff)

    def _clear_away(self, listed: Listed) -> None:
        """Ends what is left of attempts that are no longer launching or running."""
        tasks = {state.task_id: task for state in listed.values() if (task := _uuid(state.task_id))}
        standing = self._runs.where_they_stand(list(tasks.values()))
        for (mode, name), state in listed.items():
            found = standing.get(tasks.get(state.task_id, _NOBODY))
            if found is None:  # not of any task that is known here
                continue
            attempt, status = found
            if state.attempt == attempt and status in RETRIED_FROM:
                continue
            if state.phase is JobPhase.HELD:
                self._doors[Mode(mode)].discard(name, state.namespace)
            elif state.attempt < attempt:
                self._doors[Mode(mode)].stop(name, state.namespace)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _go_on_without(work: Callable[..., None], *arguments: object) -> None:
    try:
        work(*arguments)
    except (Unavailable, Rejected) as error:
        log.warning("left to the next tick", extra={"facts": {"why": str(error)}})
    except Exception:  # of one run: the others shall not wait for its sake
        log.exception("one run cannot be looked after")
