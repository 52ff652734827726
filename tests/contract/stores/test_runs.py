"""What every store of runs promises to the dispatcher."""

from uuid import uuid4

from shared.domain.report import Snapshot
from shared.domain.run import RunState
from shared.domain.task import Caps
from tests.contract.stores.conftest import MakeStores, Stores


def test_an_unknown_run_cannot_be_queued_or_resumed(stores: Stores) -> None:
    assert stores.queue.enter(uuid4()) == (None, None)
    assert stores.launches.resume(uuid4()) is None
    assert stores.queue.admit() is None


def test_a_run_is_ended_once_and_then_left_alone(stores: Stores) -> None:
    task = stores.accept().run_id
    run = stores.launch(task)
    stores.waiting()
    assert stores.finish(run, RunState.FAILED, "the job has disappeared")
    assert not stores.finish(run, RunState.EXPIRED, "too late")
    assert stores.status(task) == ("failed", "the job has disappeared", "")
    assert stores.queue.enter(task) == (None, None)
    assert stores.waiting() == ["task.finished.v1"]


def test_an_end_of_an_earlier_attempt_changes_nothing(stores: Stores) -> None:
    task = stores.accept().run_id
    run = stores.launch(task)
    assert stores.launches.retry(run, "it was evicted", 0)
    assert not stores.finish(run, RunState.FAILED, "stale")
    assert stores.status(task)[:2] == ("queued", "it was evicted")


def test_a_task_that_was_never_claimed_can_be_ended(stores: Stores) -> None:
    task = stores.accept().run_id
    one = stores.runs.open_by_id(task)
    assert one
    assert stores.finish(one.run, RunState.DENIED, "nobody may")
    assert stores.status(task)[:2] == ("denied", "nobody may")
    assert stores.runs.open() == []


def test_open_runs_are_those_that_somebody_may_have_to_do_something_about(make_stores: MakeStores) -> None:
    stores = make_stores(Caps(2, 0, 0, 0), lease_seconds=0)
    accepted, queued, launching, running = (stores.accept(name).run_id for name in ("one", "two", "three", "four"))
    stores.claim(launching)
    stores.launch(running)
    assert stores.queue.enter(queued)[0]
    assert [(one.run.id, one.launch_due, one.expired) for one in stores.runs.open()] == [
        (launching, True, False),
        (running, False, False),
    ]
    assert [one.run.id for one in stores.runs.open(stuck_seconds=0)] == [accepted, launching, running]
    assert stores.runs.open_by_id(queued) is None
    assert stores.runs.open_by_id(accepted) is not None


def test_an_open_run_is_found_by_its_resource(stores: Stores) -> None:
    task = stores.accept().run_id
    run = stores.launch(task, "codex-job")
    found = stores.runs.open_by_resource("codex-job")
    assert found
    assert found.run.id == task
    assert stores.runs.open_by_resource("other") is None
    stores.finish(run, RunState.FAILED, "over")
    assert stores.runs.open_by_resource("codex-job") is None
    assert [one.run.id for one in stores.runs.unsettled("codex-job")] == [task]


def test_what_is_over_is_unsettled_until_it_is_settled(stores: Stores) -> None:
    launched, early = stores.accept("one").run_id, stores.accept("two").run_id
    run = stores.launch(launched)
    assert stores.runs.unsettled() == []
    stores.finish(run, RunState.FAILED, "over")
    stores.cancel(early)
    assert {one.run.id: one.launched for one in stores.runs.unsettled()} == {launched: True, early: False}
    after = Snapshot(uuid4(), "after", "how it was", "digest")
    for _ in range(2):
        stores.runs.settle(run, after, "~ it changed")
    assert [one.run.id for one in stores.runs.unsettled()] == [early]
    assert stores.launches.snapshot(after.id) == "how it was"
    assert stores.story(launched)[-2:] == ["failed", "snapshot after"]


def test_where_runs_stand_is_told_of_those_that_there_are(stores: Stores) -> None:
    one, two = stores.accept("one").run_id, stores.accept("two").run_id
    stores.launch(two)
    found = stores.runs.where_they_stand([one, two, uuid4()])
    assert found == {one: (0, RunState.ACCEPTED), two: (1, RunState.RUNNING)}
    assert stores.runs.where_they_stand([]) == {}
