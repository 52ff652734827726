"""The second use case: on each tick, and when a job changes, every open run is compared with its job."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from functions.dispatcher.dispatch import Dispatch
from shared.domain.ids import resource_name
from shared.domain.job import JobPhase, JobState
from shared.domain.run import RunState
from shared.domain.task import OpenRun
from shared.events.event import Event

log = logging.getLogger(__name__)

# What is left after so many belongs to the next tick: runs wait for this one too.
ROUNDS = 20


class Runs(Protocol):
    """The runs that are not finished."""

    def open(self) -> Sequence[OpenRun]: ...

    def open_by_resource(self, resource: str) -> OpenRun | None: ...

    def open_by_id(self, run: UUID) -> OpenRun | None: ...


class Jobs(Protocol):
    """What became of jobs, by name."""

    def look(self, name: str) -> JobState | None: ...

    def stop(self, name: str) -> None: ...


class Outbox(Protocol):
    """Events that the functions could not hand to the broker."""

    def relay(self, publish: Callable[[Event], None]) -> int: ...


class LookAfter:
    """Relaunches what got stuck, ends what has ended without saying so, stops what is too late."""

    def __init__(
        self, runs: Runs, jobs: Jobs, dispatch: Dispatch, outbox: Outbox, publish: Callable[[Event], None]
    ) -> None:
        self._runs = runs
        self._jobs = jobs
        self._dispatch = dispatch
        self._outbox = outbox
        self._publish = publish

    def tick(self) -> None:
        relayed = 0
        for _ in range(ROUNDS):
            sent = self._outbox.relay(self._publish)
            relayed += sent
            if not sent:
                break
        if relayed:
            log.info("relayed events that were left over", extra={"facts": {"events": relayed}})
        for open_run in self._runs.open():
            self._compare(open_run)

    def job_changed(self, name: str) -> None:
        """Compares the run of one job."""
        open_run = self._runs.open_by_resource(name)
        if open_run:
            self._compare(open_run)

    def cancel_requested(self, task: UUID) -> None:
        """Ends a run as its caller wants, unless it is over."""
        open_run = self._runs.open_by_id(task)
        if open_run:
            self._compare(open_run)

    def _compare(self, open_run: OpenRun) -> None:
        run = open_run.run
        if open_run.canceled_by:
            # A launch in progress looks for itself once it is noted; one that hangs cannot.
            if run.status is not RunState.LAUNCHING or open_run.launch_due:
                self._dispatch.cancel(run, open_run.canceled_by)
            return
        if open_run.launch_due:
            self._dispatch(run.id, None)
            return
        if run.status is not RunState.RUNNING:
            return
        name = resource_name(run.id, run.attempt)
        job = self._jobs.look(name)
        if job is None:
            self._dispatch.end(run, RunState.FAILED, "the job has disappeared")
        elif job.phase.final:
            self._dispatch.end(run, *_verdict(job))
        elif open_run.expired:
            self._jobs.stop(name)
            self._dispatch.end(run, RunState.EXPIRED, "the deadline has passed")


def _verdict(job: JobState) -> tuple[RunState, str]:
    # A run that reported its end is not open any more: this one ended without a word.
    if job.phase is JobPhase.EXPIRED:
        return RunState.EXPIRED, "the deadline has passed"
    if job.phase is JobPhase.SUCCEEDED:
        return RunState.FAILED, "the container ended without reporting a result"
    return RunState.FAILED, job.reason or f"the container {job.phase}"
