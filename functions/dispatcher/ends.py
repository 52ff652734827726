"""What the end of a job means for its run."""

from shared.domain.job import JobPhase, JobState
from shared.domain.run import RunState
from shared.domain.task import Run


def verdict(job: JobState) -> tuple[RunState, str]:
    """What a run has come to whose job is over, in words for people."""
    # A run that reported its end is not open any more: this one ended without a word.
    if job.phase is JobPhase.EXPIRED:
        return RunState.EXPIRED, "the deadline has passed"
    if job.phase is JobPhase.SUCCEEDED:
        return RunState.FAILED, "the container ended without reporting a result"
    return RunState.FAILED, job.reason or f"the container {job.phase}"


def pause(run: Run) -> float:
    """Seconds before the next attempt: doubled each time, and spread by the task's id."""
    return min(10.0 * 2.0 ** (run.attempt - 1), 300.0) * (0.5 + run.id.int % 1000 / 1000)
