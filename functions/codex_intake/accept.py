"""The use case: a task is accepted once, however often and through whatever door it comes."""

from collections.abc import Callable
from typing import Protocol

from shared.domain.errors import Conflict
from shared.domain.ids import run_id
from shared.domain.task import Accepted, TaskRequest
from shared.events.catalogue import TaskAccepted, announce
from shared.events.event import Event


class Tasks(Protocol):
    """Stores a task and its announcement in one transaction, or finds the earlier delivery's."""

    def accept(self, request: TaskRequest, announcement: Event, traceparent: str | None) -> Accepted: ...


class Accept:
    """Stores a task and says so. A replay finds the same ids and says nothing."""

    def __init__(self, tasks: Tasks, say: Callable[[Event], None]) -> None:
        self._tasks = tasks
        self._say = say

    def __call__(self, request: TaskRequest, traceparent: str | None, strict: bool = False) -> Accepted:
        """`strict`: raise Conflict if the same delivery came before with another body."""
        event = announce(TaskAccepted(run_id(request.delivery_id)), "codex-intake", traceparent)
        accepted = self._tasks.accept(request, event, traceparent)
        if not accepted.duplicate and not accepted.coalesced:
            self._say(event)
        elif strict and accepted.body_hash not in (None, request.body_hash):
            raise Conflict("this idempotency key was used before with another body: use a new key")
        return accepted
