"""A job: one attempt of one task as a container (or, on a laptop, as a child process)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class JobPhase(StrEnum):
    """Where a job stands. Everything but HELD, PENDING and RUNNING is final."""

    # Created and not released: nothing of it runs.
    HELD = "held"
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    EXPIRED = "expired"
    # Its container can never start.
    UNSTARTED = "unstarted"
    EVICTED = "evicted"
    LOST = "lost"

    @property
    def final(self) -> bool:
        return self not in (JobPhase.HELD, JobPhase.PENDING, JobPhase.RUNNING)


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be run. The name is derived from task and attempt, so creating it twice is once.

    `files` maps an environment variable to the content of the file whose path it will hold:
    the prompt and the task token travel as files, never as plain environment. A job from a `template`
    gets `parameters`; `namespace`, `image` and `service_account` are the door's own where they are "".
    """

    name: str
    task_id: str
    attempt: int
    deadline_seconds: int
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    namespace: str = ""
    image: str = ""
    service_account: str = ""
    template: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobState:
    """What became of a job. `reason` is a sentence for people, empty while all is well.

    `made` tells it from another of its name, where the door can tell. A job that is `retired` may be
    cleaned up: its end is known to be recorded.
    """

    name: str
    task_id: str
    attempt: int
    phase: JobPhase
    reason: str = ""
    namespace: str = ""
    made: str = ""
    retired: bool = False
