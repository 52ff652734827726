"""The use case: a batch of reports is recorded once, and the last of them ends the run once."""

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from shared.domain.report import End, Recorded, Report
from shared.domain.run import RunState
from shared.events.catalogue import RunReported, TaskFinished, announce
from shared.events.event import Event

_ENDS = {"completed": RunState.SUCCEEDED, "failed": RunState.FAILED}
_MAX_SAID = 4000


class Reports(Protocol):
    """Stores what is new of a batch and ends the run, in one transaction."""

    def record(
        self, task: UUID, attempt: int, reports: Sequence[Report], end: End | None, announcement: Event | None
    ) -> Recorded: ...

    def canceled_by(self, task: UUID) -> str | None: ...


class Record:
    """Records reports and says what they change."""

    def __init__(self, reports: Reports, say: Callable[[Event], None]) -> None:
        self._reports = reports
        self._say = say

    def __call__(self, task: UUID, attempt: int, batch: Sequence[Report], traceparent: str | None) -> Recorded:
        end = next((_end(report) for report in batch if report.event_type in _ENDS), None)
        if end and end.state is RunState.FAILED and (by := self._reports.canceled_by(task)):
            end = End(RunState.CANCELED, f"canceled by {by}", "")
        fact: TaskFinished | RunReported | None = None
        if end:
            fact = TaskFinished(task, end.state.value)
        elif any(report.snapshot for report in batch):  # memory is made of snapshots and ends
            fact = RunReported(task, attempt, max(report.sequence for report in batch))
        event = announce(fact, "callback", traceparent) if fact else None
        recorded = self._reports.record(task, attempt, batch, end, event)
        if event and recorded.accepted:
            self._say(event)
        return recorded


def _end(report: Report) -> End:
    said = report.content if isinstance(report.content, str) else ""
    state = _ENDS[report.event_type]
    if state is RunState.SUCCEEDED:
        return End(state, "", said[:_MAX_SAID])
    return End(state, said[:_MAX_SAID] or "the container said that it failed", "")
