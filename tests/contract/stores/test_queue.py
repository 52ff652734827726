"""What every queue promises: caps are kept, order is kept, and nobody is passed over for ever."""

from typing import Any

import pytest

from shared.domain.run import RunState
from shared.domain.task import Caps, Run
from tests.contract.stores.conftest import MakeStores, Stores, held_back


def enter(stores: Stores, name: str, **changes: object) -> str | None:
    """Queues a task; the prompt of what was admitted then."""
    queued, admitted = stores.queue.enter(stores.accept(name, prompt=name, **changes).run_id)
    assert queued
    return admitted.prompt if admitted else None


def one_after_the_other(stores: Stores, run: Run | None) -> list[str]:
    """Ends what is admitted, again and again; the prompts in the order in which they were."""
    found = []
    while run:
        found.append(run.prompt)
        assert stores.queue.admit() is None
        assert stores.launched(run)
        assert stores.queue.admit() is None
        assert stores.finish(run, RunState.FAILED, "over")
        run = stores.queue.admit()
    return found


def test_a_run_is_claimed_by_one_only(stores: Stores) -> None:
    task = stores.accept(repository="o/r", deadline_seconds=7).run_id
    queued, run = stores.queue.enter(task)
    assert queued and run
    assert (queued.id, run.id) == (task, task)
    assert (run.attempt, run.epoch, run.status, run.deadline_seconds) == (1, 1, RunState.LAUNCHING, 7)
    assert (run.namespace, run.traceparent) == ("jobs", "00-trace")
    assert stores.queue.admit() is None
    assert stores.queue.enter(task) == (None, None)


def test_who_came_first_is_first_unless_priority_says_otherwise(make_stores: MakeStores) -> None:
    stores = make_stores(Caps(1, 0, 0, 0))
    blocker = stores.claim(stores.accept("blocker", prompt="blocker").run_id)
    for name, priority in (("one", 0), ("two", 0), ("urgent", 5), ("later", -5)):
        assert enter(stores, name, priority=priority) is None
    assert one_after_the_other(stores, blocker) == ["blocker", "urgent", "one", "two", "later"]


def test_whoever_enters_may_find_that_it_is_anothers_turn(make_stores: MakeStores) -> None:
    stores = make_stores(Caps(1, 0, 0, 0))
    blocker = stores.claim(stores.accept("blocker").run_id)
    assert enter(stores, "one") is None
    stores.finish(blocker, RunState.FAILED, "over")
    assert enter(stores, "two") == "one"


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
    wanted: list[tuple[str, dict[str, Any]]] = [
        ("one", branch),
        ("two", branch),
        ("three", branch),
        ("bob's", {"caller": "bob"}),
    ]
    wanted.append(("elsewhere", {"mode": "argo", "orchestration": {"namespace": "argo"}}))
    admitted = [enter(stores, name, **changes) for name, changes in wanted]
    assert [name for name in admitted if name] == fit
    stores.queue.explain()
    shown = stores.status(stores.accept("three").run_id)
    assert shown[:2] == ("queued", why)


def test_tasks_without_a_branch_do_not_share_one(make_stores: MakeStores) -> None:
    stores = make_stores(Caps(0, 0, 0, 1))
    for name, changes in (("one", {}), ("two", {}), ("three", {"repository": "o/r"}), ("four", {"repository": "o/r"})):
        assert enter(stores, name, **changes) == name


def test_why_it_waits_is_gone_once_it_is_claimed(make_stores: MakeStores) -> None:
    stores = make_stores(Caps(1, 0, 0, 0))
    first = stores.accept("one").run_id
    run = stores.launch(first)
    second = stores.accept("two").run_id
    assert stores.queue.enter(second)[1] is None
    stores.queue.explain(second)
    assert stores.status(second)[1] == "waits: 1 of 1 runs are active"
    stores.finish(run, RunState.FAILED, "over")
    assert stores.queue.admit()
    assert stores.status(second)[:2] == ("launching", "")


def test_a_canceled_run_leaves_the_queue(make_stores: MakeStores) -> None:
    stores = held_back(make_stores)
    task = stores.accept().run_id
    assert stores.queue.enter(task)[0]
    canceled = stores.cancel(task)
    assert canceled and canceled.status is RunState.CANCELED
    assert stores.queue.admit() is None
    assert stores.queue.enter(task) == (None, None)


def test_another_attempt_waits_for_its_time(stores: Stores) -> None:
    task = stores.accept().run_id
    run = stores.launch(task)
    assert stores.launches.retry(run, "it was evicted", 3600)
    stores.queue.explain()
    assert stores.queue.admit() is None
    assert stores.status(task)[:2] == ("queued", "it was evicted")
