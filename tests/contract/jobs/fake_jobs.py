"""Jobs in memory, and a machine that runs them while it is asked to."""

import os
import subprocess
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from shared.domain.errors import Rejected, Unavailable
from shared.domain.job import Job, JobPhase, JobState
from shared.processes.jobs import NAME


@dataclass
class FakeJobs:
    """`away` is for machinery that does not answer. Jobs stay where they are unless `work` is called."""

    jobs: dict[str, Job] = field(default_factory=dict)
    states: dict[str, JobState] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    away: bool = False
    _processes: dict[str, "tuple[subprocess.Popen[bytes], float]"] = field(default_factory=dict)

    def create(self, job: Job) -> str:
        self._answer()
        if not NAME.fullmatch(job.name):
            raise Rejected("a job's name is a DNS label")
        known = self.jobs.setdefault(job.name, job)
        if (known.task_id, known.attempt) != (job.task_id, job.attempt):
            raise Rejected("a job of that name belongs to another task")
        self.states.setdefault(job.name, JobState(job.name, job.task_id, job.attempt, JobPhase.HELD))
        return f"uid of {job.name}"

    def release(self, name: str, _namespace: str = "", _made: str = "") -> None:
        self._answer()
        if name in self.states and self.states[name].phase is JobPhase.HELD:
            self.note(name, JobPhase.PENDING)

    def look(self, name: str, _namespace: str = "") -> JobState | None:
        self._answer()
        return self.states.get(name)

    def all(self, _namespaces: Collection[str] = ()) -> list[JobState]:
        self._answer()
        return [state for state in self.states.values() if not state.retired]

    def stop(self, name: str, _namespace: str = "") -> None:
        self._answer()
        self.stopped.append(name)
        if name in self.states and not self.states[name].phase.final:
            if name in self._processes:
                self._processes[name][0].kill()
                self._processes.pop(name)[0].wait()
            self.note(name, JobPhase.STOPPED, "it was stopped")

    def discard(self, name: str, _namespace: str = "") -> None:
        self._answer()
        if name in self.states and self.states[name].phase is JobPhase.HELD:
            self.stop(name)

    def retire(self, name: str, _namespace: str = "") -> None:
        self._answer()
        self.retired.append(name)
        if name in self.states:
            self.states[name] = replace(self.states[name], retired=True)

    def note(self, name: str, phase: JobPhase, reason: str = "") -> None:
        """What becomes of a job, whoever made it so."""
        self.states[name] = replace(self.states[name], phase=phase, reason=reason)

    def forget(self, name: str) -> None:
        """Somebody else deleted the job."""
        del self.jobs[name], self.states[name]

    def work(self) -> None:
        """One step of every job that was released."""
        for name, state in list(self.states.items()):
            if state.phase is JobPhase.PENDING:
                self._processes[name] = (_start(self.jobs[name]), time.monotonic())
                self.note(name, JobPhase.RUNNING)
            elif state.phase is JobPhase.RUNNING:
                self._watch(name, *self._processes[name])

    def _watch(self, name: str, process: "subprocess.Popen[bytes]", began: float) -> None:
        code, limit = process.poll(), self.jobs[name].deadline_seconds
        if code is None and time.monotonic() > began + limit:
            process.kill()
            process.wait()
            self.note(name, JobPhase.EXPIRED, f"not done within {limit} s")
        elif code is not None:
            ended = (JobPhase.FAILED, f"exit code {code}") if code else (JobPhase.SUCCEEDED, "")
            self.note(name, *ended)

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("the machinery is away")


def _start(job: Job) -> "subprocess.Popen[bytes]":
    folder = Path(tempfile.mkdtemp(prefix="fake-job-"))
    for variable, content in job.files.items():
        (folder / variable).write_text(content)
    files = {variable: str(folder / variable) for variable in job.files}
    return subprocess.Popen([*job.command], env={"PATH": os.defpath, **job.env, **files}, stderr=subprocess.DEVNULL)
