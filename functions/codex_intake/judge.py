"""The use case: a person says whether the work of a task was good or bad, and memories are judged by it."""

from typing import Protocol
from uuid import UUID

from shared.domain.errors import NotFound
from shared.domain.outcome import Judgement
from shared.domain.redaction import redact


class Learning(Protocol):
    """Notes a verdict and learns from it; False if the tenant has no such task."""

    def judge(self, task: UUID, tenant: str, by: str, verdict: Judgement, note: str) -> bool: ...


class Judge:
    """Judges a task. The latest verdict counts; the same one again changes nothing."""

    def __init__(self, learning: Learning) -> None:
        self._learning = learning

    def __call__(self, task: UUID, tenant: str, by: str, verdict: Judgement, note: str) -> None:
        """NotFound if the tenant has no such task."""
        if not self._learning.judge(task, tenant, by, verdict, redact(note)):
            raise NotFound("there is no such task")
