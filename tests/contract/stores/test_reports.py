"""What every store of reports promises to the callback."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.domain.errors import Conflict, NotFound
from shared.domain.report import End, Recorded, Report
from shared.domain.run import RunState
from shared.events.catalogue import RunReported, TaskFinished, announce
from tests.contract.stores.conftest import Stores

DONE = End(RunState.SUCCEEDED, "", "all done")


def report(number: int, kind: str = "progress", **more: Any) -> Report:
    return Report(f"e{number}", number, kind, f"content {number}", **more)


def record(stores: Stores, task: UUID, *reports: Report, end: End | None = None) -> Recorded:
    fact = TaskFinished(task, end.state.value) if end else RunReported(task, 1, reports[-1].sequence)
    return stores.reports.record(task, 1, reports, end, announce(fact, "callback", None))


@pytest.fixture
def task(stores: Stores) -> UUID:
    task = stores.accept().run_id
    stores.launch(task)
    stores.waiting()
    return task


def test_what_is_new_is_recorded_announced_and_its_gaps_told(stores: Stores, task: UUID) -> None:
    assert record(stores, task, report(1), report(4)) == Recorded(2, 0, ((2, 3),), RunState.RUNNING)
    assert stores.waiting() == ["run.reported.v1"]
    assert record(stores, task, report(2), report(4)) == Recorded(1, 1, ((3, 3),), RunState.RUNNING)
    assert record(stores, task, report(3)).gaps == ()


def test_what_is_known_changes_and_announces_nothing(stores: Stores, task: UUID) -> None:
    record(stores, task, report(1))
    stores.waiting()
    assert record(stores, task, report(1)) == Recorded(0, 1, (), RunState.RUNNING)
    assert stores.waiting() == []


def test_the_end_is_recorded_once_and_fences_what_is_new(stores: Stores, task: UUID) -> None:
    last = report(2, "completed")
    assert record(stores, task, report(1), last, end=DONE).status is RunState.SUCCEEDED
    assert stores.status(task) == ("succeeded", "", "all done")
    assert record(stores, task, report(1), last, end=DONE) == Recorded(0, 2, (), RunState.SUCCEEDED)
    with pytest.raises(Conflict):
        record(stores, task, report(3))
    with pytest.raises(Conflict):
        record(stores, task, report(4, "failed"), end=End(RunState.FAILED, "no", ""))
    assert stores.status(task) == ("succeeded", "", "all done")
    assert stores.waiting() == ["task.finished.v1"]


def test_usage_adds_up_by_name(stores: Stores, task: UUID) -> None:
    record(stores, task, report(1, "usage", usage={"input": 1, "output": 2}))
    record(stores, task, report(2, "usage", usage={"input": 5}))
    shown = stores.views.status(task, "default")
    assert shown
    assert shown["usage"] == {"input": 6, "output": 2}


def test_another_attempt_and_an_unknown_task_are_told_apart(stores: Stores, task: UUID) -> None:
    with pytest.raises(Conflict):
        stores.reports.record(task, 2, [report(1)], None, None)
    with pytest.raises(NotFound):
        stores.reports.record(uuid4(), 1, [report(1)], None, None)
