"""What every store of runs promises to the dispatcher."""

from uuid import uuid4

from shared.domain.run import RunState
from shared.events.catalogue import RunLaunched, TaskFinished, TaskPrepared, announce
from shared.events.event import Event
from tests.contract.stores.conftest import Stores


def finished() -> Event:
    return announce(TaskFinished(uuid4(), "failed"), "dispatcher", None)


def test_a_claim_is_handed_out_again_until_the_run_is_launched(stores: Stores) -> None:
    task = stores.accept(repository="o/r", deadline_seconds=7).run_id
    first, again = stores.runs.claim(task), stores.runs.claim(task)
    assert first
    assert first == again
    assert (first.attempt, first.status, first.repository, first.deadline_seconds) == (1, RunState.LAUNCHING, "o/r", 7)
    assert first.traceparent == "00-trace"
    stores.launch(task)
    assert stores.runs.claim(task) is None


def test_an_unknown_run_cannot_be_claimed(stores: Stores) -> None:
    assert stores.runs.claim(uuid4()) is None


def test_a_launch_is_noted_once_an_event(stores: Stores) -> None:
    task = stores.accept().run_id
    stores.waiting()
    run = stores.launch(task)
    assert stores.status(task)[0] == "running"
    received = announce(TaskPrepared(task), "embedder", None)
    event = announce(RunLaunched(task, 1, "job"), "dispatcher", None)
    assert not stores.runs.launched(run, "job", b"hash", [], received, event)
    assert stores.waiting() == ["run.launched.v1"]


def test_a_run_is_ended_once_and_then_left_alone(stores: Stores) -> None:
    task = stores.accept().run_id
    run = stores.launch(task)
    stores.waiting()
    assert stores.runs.finish(run, RunState.FAILED, "the job has disappeared", finished())
    assert not stores.runs.finish(run, RunState.EXPIRED, "too late", finished())
    assert stores.status(task) == ("failed", "the job has disappeared", "")
    assert stores.runs.claim(task) is None
    assert stores.waiting() == ["task.finished.v1"]


def test_an_end_of_an_earlier_attempt_changes_nothing(stores: Stores) -> None:
    before = stores.runs.open()
    task = stores.accept().run_id
    (unclaimed,) = [one.run for one in stores.runs.open() if one not in before]
    stores.launch(task)
    assert not stores.runs.finish(unclaimed, RunState.FAILED, "stale", finished())
    assert stores.status(task)[0] == "running"


def test_a_task_that_was_never_claimed_can_be_ended(stores: Stores) -> None:
    stores.accept()
    (one,) = stores.runs.open()
    assert stores.runs.finish(one.run, RunState.FAILED, "nobody wants it", finished())
    assert stores.runs.open() == []


def test_open_runs_say_whether_their_launch_is_due(stores: Stores) -> None:
    accepted, launching, running = (stores.accept(name).run_id for name in ("one", "two", "three"))
    stores.runs.claim(launching)
    stores.launch(running)
    assert [(one.run.id, one.launch_due, one.expired) for one in stores.runs.open()] == [
        (accepted, False, False),
        (launching, False, False),
        (running, False, False),
    ]
    assert [one.launch_due for one in stores.runs.open(stuck_seconds=0, slow_seconds=0)] == [True, True, False]
    assert [one.launch_due for one in stores.runs.open(stuck_seconds=0)] == [True, False, False]


def test_an_open_run_is_found_by_its_resource(stores: Stores) -> None:
    task = stores.accept().run_id
    run = stores.launch(task, "codex-job")
    found = stores.runs.open_by_resource("codex-job")
    assert found
    assert found.run.id == task
    assert stores.runs.open_by_resource("other") is None
    stores.runs.finish(run, RunState.FAILED, "over", finished())
    assert stores.runs.open_by_resource("codex-job") is None
