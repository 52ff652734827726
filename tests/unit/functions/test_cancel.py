"""Cancelling: intake's use case, and what dispatcher and callback make of the wish."""

from uuid import UUID, uuid4

import pytest

from functions.callback.record import Record
from shared.domain.errors import NotFound
from shared.domain.ids import resource_name
from shared.domain.job import Job, JobPhase
from shared.domain.report import Report
from shared.domain.run import RunState
from shared.events.cancel import Cancel
from tests.contract.jobs.fake_jobs import FakeJobs
from tests.contract.stores.conftest import Stores, fakes
from tests.unit.functions.conftest import Dispatcher, Said


class Interrupted(FakeJobs):
    """A cluster in which somebody cancels the task while its job is being created."""

    def __init__(self, stores: Stores, dies: bool = False) -> None:
        super().__init__()
        self._stores = stores
        self._dies = dies

    def create(self, job: Job) -> str:
        made = super().create(job)
        self._stores.cancel(UUID(job.task_id))
        if self._dies:
            raise KeyboardInterrupt
        return made


@pytest.fixture
def cancel(stores: Stores, said: Said) -> Cancel:
    return Cancel(stores.runs, said, "codex-intake")


def test_a_task_that_waits_is_finished_and_said_to_be_once(stores: Stores, cancel: Cancel, said: Said) -> None:
    task = stores.accept().run_id
    for fresh in (True, False):
        found = cancel(task, "default", "alice", "00-trace")
        assert (found.status, found.requested, found.fresh) == (RunState.CANCELED, True, fresh)
    assert said.types == ["task.finished.v1"]
    assert said[0].extensions["traceparent"] == "00-trace"
    assert b'"canceled"' in (said[0].data or b"")


def test_a_task_that_runs_is_said_to_be_wanted_to_end_once(stores: Stores, cancel: Cancel, said: Said) -> None:
    task = stores.accept().run_id
    stores.launch(task)
    for _ in range(2):
        assert cancel(task, "default", "alice", None).status is RunState.RUNNING
    assert said.types == ["task.cancel-requested.v1"]


def test_a_task_of_nobody_is_not_found(stores: Stores, cancel: Cancel, said: Said) -> None:
    stores.accept()
    with pytest.raises(NotFound):
        cancel(uuid4(), "default", "alice", None)
    assert said == []


def test_a_run_is_stopped_and_ended_however_often_it_is_asked(stores: Stores, said: Said) -> None:
    cluster = FakeJobs()
    world = Dispatcher(stores, cluster, said)
    task = stores.accept().run_id
    world.dispatch(task)
    world.look_after.cancel_requested(task)
    assert (stores.status(task)[0], cluster.stopped) == ("running", []), "nobody has asked for it"
    stores.cancel(task)
    for _ in range(2):
        world.look_after.cancel_requested(task)
    assert cluster.stopped == [resource_name(task, 1)]
    assert stores.status(task) == ("canceled", "canceled by alice", "")
    assert said.types == ["run.launched.v1", "task.finished.v1"]
    world.look_after.cancel_requested(uuid4())


@pytest.mark.parametrize("phase", [JobPhase.STOPPED, JobPhase.SUCCEEDED, JobPhase.LOST, JobPhase.EXPIRED])
def test_the_tick_ends_what_a_dispatcher_that_died_had_stopped(stores: Stores, said: Said, phase: JobPhase) -> None:
    cluster = FakeJobs()
    world = Dispatcher(stores, cluster, said)
    task = stores.accept().run_id
    world.dispatch(task)
    stores.cancel(task)
    cluster.note(resource_name(task, 1), phase)
    world.look_after.tick()
    assert stores.status(task)[:2] == ("canceled", "canceled by alice")


def test_a_cancel_during_the_launch_is_seen_before_the_job_may_run(stores: Stores, said: Said) -> None:
    cluster = Interrupted(stores)
    task = stores.accept().run_id
    Dispatcher(stores, cluster, said).dispatch(task)
    assert cluster.states[resource_name(task, 1)].phase is JobPhase.STOPPED
    assert stores.status(task)[:2] == ("canceled", "canceled by alice")
    assert stores.story(task) == ["accepted", "cancel requested", "canceled"]
    assert said.types == ["task.finished.v1"]


def test_a_launch_that_died_after_a_cancel_is_ended_by_the_tick_and_not_repeated(said: Said) -> None:
    stores = fakes(lease_seconds=0)
    cluster = Interrupted(stores, dies=True)
    world = Dispatcher(stores, cluster, said)
    task = stores.accept().run_id
    with pytest.raises(KeyboardInterrupt):
        world.dispatch(task)
    world.dispatch(task)
    assert stores.status(task)[0] == "launching"
    world.look_after.tick()
    assert cluster.stopped == [resource_name(task, 1)]
    assert stores.status(task)[:2] == ("canceled", "canceled by alice")
    assert said.types == ["task.finished.v1"]


def test_a_container_that_fails_because_it_was_stopped_was_canceled(stores: Stores, said: Said) -> None:
    task = stores.accept().run_id
    stores.launch(task)
    stores.cancel(task)
    record = Record(stores.reports, said)
    recorded = record(task, 1, [Report("e1", 1, "failed", "terminated")], None)
    assert recorded.status is RunState.CANCELED
    assert stores.status(task) == ("canceled", "canceled by alice", "")
    assert b'"canceled"' in (said[0].data or b"")


def test_a_container_that_completed_in_spite_of_it_has_succeeded(stores: Stores, said: Said) -> None:
    task = stores.accept().run_id
    stores.launch(task)
    stores.cancel(task)
    Record(stores.reports, said)(task, 1, [Report("e1", 1, "completed", "all done")], None)
    assert stores.status(task) == ("succeeded", "", "all done")
