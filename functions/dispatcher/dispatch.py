"""The use case: prepared tasks are judged, queued, and launched in their turn, each exactly once."""

import logging
from collections.abc import Callable, Mapping
from typing import Protocol
from uuid import UUID

from functions.dispatcher.launch import Launch
from functions.dispatcher.recipe import Recipe, name_of
from shared.domain.errors import Rejected, Unavailable
from shared.domain.policy import Policy, Verdict
from shared.domain.run import RunState
from shared.domain.task import Mode, OpenRun, Run
from shared.events.catalogue import TaskFinished, announce
from shared.events.event import Event

log = logging.getLogger(__name__)

# What else waits belongs to the next event or tick.
AT_ONCE = 50


class Queue(Protocol):
    """Who is next, under caps; each move is one transaction."""

    def enter(self, run: UUID) -> tuple[Run | None, Run | None]: ...

    def admit(self) -> Run | None: ...

    def explain(self, run: UUID | None = None) -> None: ...


class Launches(Protocol):
    """Launches that were begun: taken over once nobody holds them, given back, begun anew."""

    def resume(self, run: UUID) -> Run | None: ...

    def put_off(self, run: Run, reason: str) -> None: ...


class Runs(Protocol):
    """Ends runs, once."""

    def finish(
        self, run: Run, state: RunState, reason: str, announcement: Event, verdict: Verdict | None = None
    ) -> bool: ...

    def open_by_id(self, run: UUID) -> OpenRun | None: ...


class Jobs(Protocol):
    """Ends what is there of jobs; one of somebody else is never touched."""

    def stop(self, name: str, namespace: str) -> None: ...

    def discard(self, name: str, namespace: str) -> None: ...


class Dispatch:
    """Launches runs and ends them. Every step is named by the run, so a repeat finds what the first try did."""

    def __init__(
        self,
        queue: Queue,
        launches: Launches,
        runs: Runs,
        doors: Mapping[Mode, Jobs],
        policy: Callable[[], Policy],
        launch: Launch,
        say: Callable[[Event], None],
        recipe: Recipe,
        count: Callable[[Run, str], None] = lambda _run, _outcome: None,
    ) -> None:
        """`count` hears how each launch ended."""
        self._queue = queue
        self._launches = launches
        self._runs = runs
        self._doors = doors
        self._policy = policy
        self._launch = launch
        self._say = say
        self._recipe = recipe
        self._count = count

    def __call__(self, task: UUID) -> None:
        """Launches the task, and whoever's turn comes before; or leaves it in the queue, with the reason."""
        if not self._recipe.launching:
            return
        queued, next_ = self._queue.enter(task)
        if next_:
            self._begin(next_)
        if queued is None:
            self._resume(task)
        elif (next_ is None or next_.id != task) and not self._denied(queued):
            self.fill(task)

    def fill(self, until: UUID | None = None) -> None:
        """Launches what fits under the caps, in order, until it comes to this task."""
        if not self._recipe.launching:
            return
        for _ in range(AT_ONCE):
            run = self._queue.admit()
            if run is None:
                break
            self._begin(run)
            if run.id == until:
                return
        if until:
            self._queue.explain(until)

    def judge(self, run: Run) -> Verdict:
        """What the policy says now."""
        return self._policy().judge(run, self._recipe.image_of(run), self._recipe.service_account_of(run))

    def cancel(self, run: Run, by: str) -> None:
        """Stops the job of a run, if there is one, and ends the run."""
        self.stop(run)
        self.end(run, RunState.CANCELED, f"canceled by {by}")

    def stop(self, run: Run) -> None:
        """Ends the job of a run, and whatever else was made for it."""
        door = self._doors.get(Mode(run.mode))
        if door:
            door.stop(name_of(run), run.namespace)

    def end(self, run: Run, state: RunState, reason: str, verdict: Verdict | None = None) -> None:
        """Ends a run that cannot report its own end, and says so."""
        event = announce(TaskFinished(run.id, state.value), "dispatcher", run.traceparent)
        if self._runs.finish(run, state, reason, event, verdict):
            self._say(event)

    def _resume(self, task: UUID) -> None:
        held = self._launches.resume(task)
        if held:
            self._begin(held)

    def _denied(self, run: Run) -> bool:
        verdict = self.judge(run)
        if not verdict.allowed:
            self.end(run, RunState.DENIED, f"denied by rule {verdict.rule}: {verdict.reason}", verdict)
        return not verdict.allowed

    def _begin(self, run: Run) -> None:
        try:
            outcome = self._tried(run, self.judge(run))
        except Unavailable as error:
            self._launches.put_off(run, f"is launched again: {error}")
            self._count(run, "put off")
            raise
        self._count(run, outcome)

    def _tried(self, run: Run, verdict: Verdict) -> str:
        """How the launch ended."""
        if not verdict.allowed:
            self._give_up(run, RunState.DENIED, f"denied by rule {verdict.rule}: {verdict.reason}", verdict)
            return "denied"
        try:
            if self._launch(run, verdict):
                return "launched"
            self._leave(run)
        except Rejected as error:
            self._give_up(run, RunState.FAILED, str(error), None)
            return "failed"
        return "taken over"

    def _give_up(self, run: Run, state: RunState, reason: str, verdict: Verdict | None) -> None:
        # First, so that a crash in between leaves a launch to be resumed and nothing to be forgotten.
        self.stop(run)
        self.end(run, state, reason, verdict)

    def _leave(self, run: Run) -> None:
        """The launch was another's by now: cancels it if that is wanted, else takes back what never ran."""
        found = self._runs.open_by_id(run.id)
        if found and found.canceled_by:
            self.cancel(found.run, found.canceled_by)
        elif found is None or found.run.attempt != run.attempt:
            log.info("a launch came too late", extra={"facts": {"task": str(run.id), "attempt": run.attempt}})
            self._doors[Mode(run.mode)].discard(name_of(run), run.namespace)
