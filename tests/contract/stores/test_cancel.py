"""What every store of runs promises to whoever cancels."""

from uuid import UUID, uuid4

import pytest

from shared.domain.run import RunState
from shared.domain.task import Cancellation
from shared.events.catalogue import TaskFinished, TaskPrepared, announce
from tests.contract.stores.conftest import MakeStores, Stores, held_back
from tests.contract.stores.test_reports import DONE, record, report


def finish(stores: Stores, task: UUID, state: RunState = RunState.CANCELED) -> bool:
    one = stores.runs.open_by_id(task)
    assert one
    event = announce(TaskFinished(task, state.value), "dispatcher", None)
    return stores.runs.finish(one.run, state, "canceled by alice", event)


@pytest.mark.parametrize("state", ["accepted", "prepared", "queued"])
def test_a_task_that_is_not_launched_ends_at_once(make_stores: MakeStores, state: str) -> None:
    stores = make_stores()
    task = stores.accept().run_id
    if state == "prepared":
        stores.memories.store([], None, announce(TaskPrepared(task), "embedder", None))
    if state == "queued":
        stores = held_back(make_stores)
        task = stores.accept().run_id
        assert stores.queue.enter(task)[0]
    stores.waiting()
    assert stores.cancel(task) == Cancellation(RunState.CANCELED, True, fresh=True)
    assert stores.status(task) == ("canceled", "canceled by alice", "")
    assert stores.story(task) == ["accepted", "cancel requested", "canceled"]
    assert stores.waiting() == ["task.finished.v1"]
    assert stores.queue.enter(task) == (None, None)
    assert stores.runs.open_by_id(task) is None
    shown = stores.views.status(task, "default")
    assert shown
    assert shown["finishedAt"] is not None


def test_a_second_call_changes_and_announces_nothing(stores: Stores) -> None:
    waiting, running = stores.accept("one").run_id, stores.accept("two").run_id
    stores.launch(running)
    first = {task: stores.cancel(task) for task in (waiting, running)}
    stories = {task: stores.story(task) for task in first}
    stores.waiting()
    for task, answered in first.items():
        assert answered
        again = stores.cancel(task, by="bob")
        assert again == Cancellation(answered.status, True, fresh=False)
        assert stores.story(task) == stories[task]
    assert stores.waiting() == []
    assert stores.reports.canceled_by(running) == "alice"


def test_a_task_that_runs_is_only_asked_to_end(stores: Stores) -> None:
    task = stores.accept().run_id
    stores.launch(task)
    stores.waiting()
    assert stores.cancel(task) == Cancellation(RunState.RUNNING, True, fresh=True)
    assert stores.status(task)[0] == "running"
    assert stores.waiting() == ["task.cancel-requested.v1"]
    one = stores.runs.open_by_id(task)
    assert one
    assert (one.run.id, one.canceled_by) == (task, "alice")
    assert [open_run.canceled_by for open_run in stores.runs.open()] == ["alice"]
    assert finish(stores, task)
    assert stores.story(task) == ["accepted", "launched", "cancel requested", "canceled"]
    assert stores.status(task) == ("canceled", "canceled by alice", "")


def test_a_launch_that_is_to_be_canceled_is_neither_taken_over_nor_noted(make_stores: MakeStores) -> None:
    stores = make_stores(lease_seconds=0)
    task = stores.accept().run_id
    run = stores.claim(task)
    assert stores.cancel(task) == Cancellation(RunState.LAUNCHING, True, fresh=True)
    assert stores.launches.resume(task) is None
    assert not stores.launched(run)
    assert stores.status(task)[0] == "launching"
    assert finish(stores, task)
    assert not stores.launched(run)
    assert stores.status(task)[0] == "canceled"


def test_a_task_that_is_over_stays_as_it_is(stores: Stores) -> None:
    task = stores.accept().run_id
    stores.launch(task)
    record(stores, task, report(1, "completed"), end=DONE)
    stores.waiting()
    assert stores.cancel(task) == Cancellation(RunState.SUCCEEDED, False, fresh=False)
    assert (stores.waiting(), stores.story(task)[-1]) == ([], "succeeded")
    assert stores.reports.canceled_by(task) is None


def test_a_run_that_completes_before_its_job_was_stopped_has_succeeded(stores: Stores) -> None:
    task = stores.accept().run_id
    run = stores.launch(task)
    stores.cancel(task)
    assert record(stores, task, report(1, "completed"), end=DONE).status is RunState.SUCCEEDED
    event = announce(TaskFinished(task, "canceled"), "dispatcher", None)
    assert not stores.runs.finish(run, RunState.CANCELED, "canceled by alice", event)
    assert stores.cancel(task) == Cancellation(RunState.SUCCEEDED, True, fresh=False)


def test_an_unknown_task_and_one_of_another_tenant_cannot_be_canceled(stores: Stores) -> None:
    task = stores.accept().run_id
    assert stores.cancel(uuid4()) is None
    assert stores.cancel(task, tenant="elsewhere") is None
    assert stores.status(task)[0] == "accepted"
    assert stores.reports.canceled_by(uuid4()) is None
