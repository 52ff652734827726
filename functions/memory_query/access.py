"""Who asks: a run with its task token, or a caller of the API with a token of the same tenant."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from shared.domain.errors import NotFound, Unauthenticated
from shared.domain.task_token import REFUSED, Scope, check_task_token, is_task_token
from shared.domain.token import Caller


class Tasks(Protocol):
    """Prompt, tenant and the attempt whose token works, None for an unknown task."""

    def prompt(self, task: UUID) -> tuple[str, str, int | None] | None: ...


@dataclass(frozen=True, slots=True)
class Asker:
    """Someone who may ask about a task; `attempt` is None for a caller of the API."""

    task_id: UUID
    prompt: str
    tenant: str
    attempt: int | None


class Access:
    """Checks tokens; `caller` finds who has an API token, and whether it has a scope."""

    def __init__(self, tasks: Tasks, token_keys: Sequence[str], caller: Callable[[str | None, str], Caller]) -> None:
        self._tasks = tasks
        self._token_keys = token_keys
        self._caller = caller

    def __call__(self, task_id: UUID, token: str | None) -> Asker:
        """Unauthenticated without a fitting token, NotFound for a task of another tenant."""
        if is_task_token(token):
            attempt = check_task_token(self._token_keys, task_id, token, Scope.MEMORY)
            prompt, tenant, current = self._known(task_id)
            if attempt != current:
                raise Unauthenticated(REFUSED)
            return Asker(task_id, prompt, tenant, attempt)
        caller = self._caller(token, "memory:read")
        prompt, tenant, _ = self._known(task_id)
        if caller.tenant != tenant:
            raise NotFound("there is no such task")
        return Asker(task_id, prompt, tenant, None)

    def _known(self, task_id: UUID) -> tuple[str, str, int | None]:
        task = self._tasks.prompt(task_id)
        if task is None:
            raise NotFound("there is no such task")
        return task
