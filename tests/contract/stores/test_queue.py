"""What every queue promises: caps are kept, order is kept, and nobody is passed over for ever."""

import pytest

from shared.domain.run import RunState
from shared.domain.task import Caps
from tests.contract.stores.conftest import MakeStores, Stores


def admitted(stores: Stores) -> list[str]:
    """The prompts of all that fits now, in order."""
    found = []
    while run := stores.queue.admit():
        found.append(run.prompt)
    return found


def queued(stores: Stores, name: str, **changes: object) -> None:
    assert stores.queue.enqueue(stores.accept(name, prompt=name, **changes).run_id)


def test_a_run_is_claimed_by_one_only(stores: Stores) -> None:
    task = stores.accept(repository="o/r", deadline_seconds=7).run_id
    waiting = stores.queue.enqueue(task)
    assert waiting == stores.queue.enqueue(task)
    run = stores.queue.admit()
    assert run
    assert (run.attempt, run.epoch, run.status, run.deadline_seconds) == (1, 1, RunState.LAUNCHING, 7)
    assert (run.namespace, run.traceparent) == ("jobs", "00-trace")
    assert stores.queue.admit() is None
    assert stores.queue.enqueue(task) is None


def test_who_came_first_is_first_unless_priority_says_otherwise(stores: Stores) -> None:
    for name, priority in (("one", 0), ("two", 0), ("urgent", 5), ("later", -5)):
        queued(stores, name, priority=priority)
    assert admitted(stores) == ["urgent", "one", "two", "later"]


CAPS = [
    (Caps(2, 0, 0, 0), ["one", "two"], "waits: 2 of 2 runs are active"),
    (Caps(0, 2, 0, 0), ["one", "two", "elsewhere"], "waits: 2 of 2 runs in namespace jobs are active"),
    (Caps(0, 0, 1, 0), ["one", "bob's"], "waits: 1 of 1 runs of caller alice are active"),
    (Caps(0, 0, 0, 1), ["one", "bob's", "elsewhere"], "waits: 1 of 1 runs of branch o/r@main are active"),
]


@pytest.mark.parametrize(("caps", "fit", "why"), CAPS)
def test_a_cap_holds_back_what_it_is_about_and_nothing_else(
    make_stores: MakeStores, caps: Caps, fit: list[str], why: str
) -> None:
    stores = make_stores(caps)
    branch = {"repository": "o/r", "head": "main"}
    queued(stores, "one", **branch)
    queued(stores, "two", **branch)
    queued(stores, "three", **branch)
    queued(stores, "bob's", caller="bob")
    elsewhere = {"mode": "argo", "orchestration": {"namespace": "argo"}}
    queued(stores, "elsewhere", **elsewhere)
    assert admitted(stores) == fit
    stores.queue.explain()
    shown = stores.status(stores.accept("three").run_id)
    assert shown[:2] == ("queued", why)


def test_room_is_given_to_the_next_in_order(make_stores: MakeStores) -> None:
    stores = make_stores(Caps(1, 0, 0, 0))
    for name in ("one", "two", "three"):
        queued(stores, name)
    for name in ("one", "two", "three"):
        run = stores.queue.admit()
        assert run and run.prompt == name
        assert stores.queue.admit() is None
        assert stores.launched(run)
        assert stores.queue.admit() is None
        assert stores.finish(run, RunState.FAILED, "over")


def test_tasks_without_a_branch_do_not_share_one(make_stores: MakeStores) -> None:
    stores = make_stores(Caps(0, 0, 0, 1))
    for name, changes in (("one", {}), ("two", {}), ("three", {"repository": "o/r"}), ("four", {"repository": "o/r"})):
        queued(stores, name, **changes)
    assert admitted(stores) == ["one", "two", "three", "four"]


def test_why_it_waits_is_gone_once_it_is_claimed(make_stores: MakeStores) -> None:
    stores = make_stores(Caps(1, 0, 0, 0))
    first = stores.accept("one").run_id
    run = stores.launch(first)
    second = stores.accept("two").run_id
    stores.queue.enqueue(second)
    stores.queue.explain(second)
    assert stores.status(second)[1] == "waits: 1 of 1 runs are active"
    stores.finish(run, RunState.FAILED, "over")
    assert stores.queue.admit()
    assert stores.status(second)[:2] == ("launching", "")


def test_a_canceled_run_leaves_the_queue(stores: Stores) -> None:
    task = stores.accept().run_id
    stores.queue.enqueue(task)
    canceled = stores.cancel(task)
    assert canceled and canceled.status is RunState.CANCELED
    assert stores.queue.admit() is None
    assert stores.queue.enqueue(task) is None


def test_another_attempt_waits_for_its_time(stores: Stores) -> None:
    task = stores.accept().run_id
    run = stores.launch(task)
    assert stores.launches.retry(run, "it was evicted", 3600)
    stores.queue.explain()
    assert stores.queue.admit() is None
    assert stores.status(task)[:2] == ("queued", "it was evicted")
