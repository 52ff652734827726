"""A job: one attempt of one task as a container (or, on a laptop, as a child process)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class JobPhase(StrEnum):
    """Where a job stands. Everything but PENDING and RUNNING is final."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    EXPIRED = "expired"
    LOST = "lost"

    @property
    def final(self) -> bool:
        return self not in (JobPhase.PENDING, JobPhase.RUNNING)


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be run. The name is derived from task and attempt, so creating it twice is once.

    `files` maps an environment variable to the content of the file whose path it will hold:
    the prompt and the task token travel as files, never as plain environment.
    """

    name: str
    task_id: str
    attempt: int
    deadline_seconds: int
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class JobState:
    """What became of a job. `reason` is a sentence for people, empty while all is well."""

    name: str
    task_id: str
    attempt: int
    phase: JobPhase
    reason: str = ""
