"""The use case: a prepared task becomes a job with the memories that fit it, exactly once."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from functions.dispatcher.prompt import render
from shared.domain.errors import Rejected
from shared.domain.ids import resource_name
from shared.domain.job import Job
from shared.domain.memory import Fenced, Recalled, fence
from shared.domain.run import RunState
from shared.domain.task import Mode, Run
from shared.domain.token import mint_task_token
from shared.events.catalogue import RunLaunched, TaskFinished, announce
from shared.events.event import Event


class Runs(Protocol):
    """Moves runs; every move is one transaction and safe to repeat."""

    def claim(self, run: UUID) -> Run | None: ...

    def launched(
        self,
        run: Run,
        resource: str,
        token_hash: bytes,
        shown: Sequence[Recalled],
        received: Event | None,
        announcement: Event,
    ) -> bool: ...

    def finish(self, run: Run, state: RunState, reason: str, announcement: Event) -> bool: ...

    def canceled_by(self, run: UUID) -> str | None: ...


class Jobs(Protocol):
    """Creates and stops jobs by name; a job that exists with the same task and attempt is success."""

    def create(self, job: Job) -> None: ...

    def stop(self, name: str) -> None: ...


class Memories(Protocol):
    """Finds what earlier tasks left that is nearest to a task."""

    def nearest_to_task(self, task: UUID, limit: int) -> Sequence[Recalled]: ...


@dataclass(frozen=True, slots=True)
class Recipe:
    """What every container gets: its command, the key of its token, and where it reports and asks.

    While `launching` is off nothing is launched: runs wait as they are.
    """

    command: Sequence[str]
    token_secret: str
    callback_url: str
    memory_url: str
    memories: int = 5
    memory_tokens: int = 2000
    launching: bool = True


class Dispatch:
    """Launches a run. Every step is named by the run, so a repeat finds what the first try did."""

    def __init__(
        self,
        runs: Runs,
        memories: Memories,
        jobs: Jobs,
        say: Callable[[Event], None],
        now: Callable[[], datetime],
        nonce: Callable[[], str],
        recipe: Recipe,
    ) -> None:
        self._runs = runs
        self._memories = memories
        self._jobs = jobs
        self._say = say
        self._now = now
        self._nonce = nonce
        self._recipe = recipe

    def __call__(self, task: UUID, received: Event | None) -> None:
        if not self._recipe.launching:
            return
        run = self._runs.claim(task)
        if run is None:
            return
        try:
            self._launch(run, received)
        except Rejected as error:
            self.end(run, RunState.FAILED, str(error))

    def _launch(self, run: Run, received: Event | None) -> None:
        if run.mode != Mode.DIRECT:
            raise Rejected(f"mode {run.mode} is not enabled here: use direct")
        nearest = self._memories.nearest_to_task(run.id, self._recipe.memories)
        memories = fence(nearest, self._nonce(), self._recipe.memory_tokens)
        job = self._job(run, memories)
        self._jobs.create(job)
        event = announce(RunLaunched(run.id, run.attempt, job.name), "dispatcher", run.traceparent)
        token_hash = hashlib.sha256(self._token(run).encode()).digest()
        if self._runs.launched(run, job.name, token_hash, memories.shown, received, event):
            self._say(event)
        # Whoever cancels a run that is being launched leaves its job to us.
        if by := self._runs.canceled_by(run.id):
            self.cancel(run, by)

    def cancel(self, run: Run, by: str) -> None:
        """Stops the job of a run, if there is one, and ends the run."""
        self._jobs.stop(resource_name(run.id, run.attempt))
        self.end(run, RunState.CANCELED, f"canceled by {by}")

    def end(self, run: Run, state: RunState, reason: str) -> None:
        """Ends a run that cannot report its own end, and says so."""
        event = announce(TaskFinished(run.id, state.value), "dispatcher", run.traceparent)
        if self._runs.finish(run, state, reason, event):
            self._say(event)

    def _token(self, run: Run) -> str:
        return mint_task_token(self._recipe.token_secret, run.id, run.attempt)

    def _job(self, run: Run, memories: Fenced) -> Job:
        recipe = self._recipe
        task = f"/v1/codex/tasks/{run.id}"
        deadline = self._now().astimezone(UTC) + timedelta(seconds=run.deadline_seconds)
        return Job(
            name=resource_name(run.id, run.attempt),
            task_id=str(run.id),
            attempt=run.attempt,
            deadline_seconds=run.deadline_seconds,
            command=tuple(recipe.command),
            env={
                "CODEX_TASK_ID": str(run.id),
                "CODEX_ATTEMPT": str(run.attempt),
                "CODEX_CALLBACK_URL": f"{recipe.callback_url}{task}",
                "CODEX_MEMORY_ENDPOINT": f"{recipe.memory_url}{task}/memory",
                "CODEX_DEADLINE": deadline.strftime("%Y-%m-%dT%H:%M:%SZ"),
                **({"TRACEPARENT": run.traceparent} if run.traceparent else {}),
            },
            files={
                "CODEX_PROMPT_FILE": render(run, memories),
                "CODEX_CALLBACK_TOKEN_FILE": self._token(run),
            },
        )
