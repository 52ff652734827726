"""What every store of launches promises: one holder at a time, and who comes too late moves nothing."""

from dataclasses import replace
from uuid import uuid4

import pytest

from shared.domain.errors import Conflict
from shared.domain.ids import run_id
from shared.domain.policy import Verdict
from shared.domain.report import Report, Snapshot
from shared.domain.run import RunState
from shared.events.catalogue import TaskAccepted, announce
from tests.contract.stores.conftest import MakeStores, Stores
from tests.integration.postgres.conftest import request

ALLOWED = Verdict(True, "ci", "", "v1")


def test_a_launch_is_noted_and_announced_once(stores: Stores) -> None:
    task = stores.accept().run_id
    stores.waiting()
    run = stores.launch(task)
    assert stores.launched(run), "whoever noted it may ask again"
    assert stores.status(task)[0] == "running"
    assert stores.story(task) == ["accepted", "launched"]
    assert stores.waiting() == ["run.launched.v1"]


def test_a_launch_is_taken_over_when_its_lease_is_over_and_not_before(make_stores: MakeStores) -> None:
    patient, hasty = make_stores(lease_seconds=3600), make_stores(lease_seconds=0)
    held = patient.accept("held").run_id
    patient.claim(held)
    assert patient.launches.resume(held) is None
    left = hasty.accept("left").run_id
    first = hasty.claim(left)
    second = hasty.launches.resume(left)
    assert second
    assert (second.attempt, second.epoch) == (first.attempt, first.epoch + 1)


def test_the_holder_of_an_earlier_epoch_is_refused(make_stores: MakeStores) -> None:
    stores = make_stores(lease_seconds=0)
    task = stores.accept().run_id
    first = stores.claim(task)
    second = stores.launches.resume(task)
    assert second
    stores.waiting()
    assert not stores.launched(first)
    assert stores.status(task)[0] == "launching"
    assert stores.launched(second)
    assert not stores.launched(first)
    assert stores.waiting() == ["run.launched.v1"]


def test_a_launch_that_is_put_off_may_be_resumed_at_once(stores: Stores) -> None:
    task = stores.accept().run_id
    run = stores.claim(task)
    stores.launches.put_off(run, "the cluster is away")
    assert stores.status(task)[:2] == ("launching", "the cluster is away")
    resumed = stores.launches.resume(task)
    assert resumed
    stores.launches.put_off(run, "too late")
    assert stores.launches.resume(task) is None
    assert stores.launched(resumed)
    assert stores.status(task)[:2] == ("running", "")


def test_a_brief_is_kept_as_it_was_first(stores: Stores) -> None:
    task = stores.accept().run_id
    run = stores.claim(task)
    before = Snapshot(uuid4(), "before", "how it was", "digest")
    assert stores.launches.brief(run, "do it", None, before, ALLOWED) == "do it"
    other = Snapshot(uuid4(), "before", "how it is now", "digest")
    assert stores.launches.brief(run, "do something else", None, other, ALLOWED) == "do it"
    assert stores.launches.snapshot(before.id) == "how it was"
    assert stores.launches.snapshot(other.id) is None
    assert stores.story(task) == ["accepted", "snapshot before"]


def test_another_attempt_begins_anew_and_fences_the_last(stores: Stores) -> None:
    task = stores.accept().run_id
    first = stores.launch(task)
    assert stores.launches.retry(first, "it was evicted", 0)
    assert not stores.launches.retry(first, "it was evicted", 0)
    with pytest.raises(Conflict):
        stores.reports.record(task, first.attempt, [Report("late", 1, "progress", "…")], None, None)
    second = stores.queue.admit()
    assert second
    assert (second.id, second.attempt, second.epoch) == (task, 2, first.epoch + 1)
    assert stores.launches.brief(second, "do it again", None, None, ALLOWED) == "do it again"
    assert stores.launched(second, "job-2")
    assert stores.story(task) == ["accepted", "launched", "attempt ended", "launched"]
    assert stores.runs.open_by_resource("job") is None


def test_a_run_that_is_to_be_canceled_gets_no_other_attempt(stores: Stores) -> None:
    task = stores.accept().run_id
    run = stores.launch(task)
    stores.cancel(task)
    assert not stores.launches.retry(run, "it was evicted", 0)
    assert stores.status(task)[0] == "running"


def test_why_a_container_waits_is_shown_while_it_does(stores: Stores) -> None:
    task = stores.accept().run_id
    run = stores.launch(task)
    for _ in range(2):
        stores.launches.note(run, "waits to start: no node has room")
    assert stores.status(task)[:2] == ("running", "waits to start: no node has room")
    stores.finish(run, RunState.FAILED, "over")
    stores.launches.note(run, "too late")
    assert stores.status(task)[:2] == ("failed", "over")


def test_the_delivery_of_a_task_is_given_back_as_it_came(stores: Stores) -> None:
    plain = stores.accept("one").run_id
    wanted = replace(request("two"), delivery=b"\x00\xff")
    event = announce(TaskAccepted(run_id("two")), "codex-intake", None)
    delivered = stores.tasks.accept(wanted, event, None).run_id
    assert stores.launches.delivery(plain) is None
    assert stores.launches.delivery(delivered) == b"\x00\xff"
