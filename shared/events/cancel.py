"""A task is to end, in whatever state it is, through whichever door that is asked for."""

from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from shared.domain.errors import NotFound
from shared.domain.run import RunState
from shared.domain.task import Cancellation
from shared.events.catalogue import TaskCancelRequested, TaskFinished, announce
from shared.events.event import Event


class Runs(Protocol):
    """Ends a run that is not launched, or asks for the end of one that may be, with the fitting event."""

    def cancel(self, run: UUID, tenant: str, by: str, requested: Event, ended: Event) -> Cancellation | None: ...


class Cancel:
    """Cancels a task and says so. A second time, or after its end, changes and says nothing."""

    def __init__(self, runs: Runs, say: Callable[[Event], None], source: str) -> None:
        """`source` is the function that says so."""
        self._runs = runs
        self._say = say
        self._source = source

    def __call__(self, task: UUID, tenant: str, by: str, traceparent: str | None) -> Cancellation:
        """NotFound if the tenant has no such task."""
        requested = announce(TaskCancelRequested(task), self._source, traceparent)
        ended = announce(TaskFinished(task, RunState.CANCELED.value), self._source, traceparent)
        found = self._runs.cancel(task, tenant, by, requested, ended)
        if found is None:
            raise NotFound("there is no such task")
        if found.fresh:
            self._say(ended if found.status is RunState.CANCELED else requested)
        return found
