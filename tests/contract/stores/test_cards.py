"""What every store of cards promises, and what there is to show of a task."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.discord_interaction.cards import Store
from shared.domain.artifact import Upload
from shared.domain.card import Opened, TaskFacts
from shared.domain.discord import Posted
from shared.domain.report import Snapshot
from shared.domain.run import RunState
from shared.domain.task import Run
from shared.postgres.discord_cards import Pace
from tests.contract.stores.conftest import Stores
from tests.contract.stores.test_reports import DONE, record, report

# No message that was made then is old, however long it takes until its test has its turn.
NOW = datetime(2100, 1, 1, tzinfo=UTC)
OPENED = Opened("1" * 18, "the-token-of-an-interaction", "2" * 18, "3" * 18, "4" * 18, False, NOW)
AT = Posted("5" * 18, "6" * 18)
# Nothing is held up, and nothing is looked at for its own sake.
AT_ONCE = Pace(pause=0, lease=0, idle=3600, slack=3600)
HELD = Pace(pause=3600, lease=3600, idle=7200, slack=7200, longest=7200)


@pytest.fixture
def task() -> UUID:
    """A task that is not accepted."""
    return uuid4()


def opened(stores: Stores, task: UUID, pace: Pace = AT_ONCE, **changes: Any) -> Store:
    cards = stores.make_cards(pace)
    cards.open(task, replace(OPENED, **changes))
    return cards


def test_a_card_is_opened_once(stores: Stores, task: UUID) -> None:
    cards = opened(stores, task)
    cards.open(task, replace(OPENED, guild_id=None, ephemeral=True))
    card = cards.claim(task)
    assert card
    assert (card.task_id, card.at, card.guild_id, card.ephemeral) == (task, None, OPENED.guild_id, False)
    assert (card.shown, card.thread_id, card.told) == ("", None, 0)
    assert card.token_until == NOW + timedelta(minutes=15)
    assert cards.news(task)
    assert not cards.news(uuid4())
    assert cards.claim(uuid4()) is None


def test_a_card_of_a_direct_message_has_no_guild(stores: Stores, task: UUID) -> None:
    card = opened(stores, task, guild_id=None, ephemeral=True).claim(task)
    assert card
    assert (card.guild_id, card.ephemeral) == (None, True)


@pytest.mark.parametrize("by_id", [True, False], ids=["by its task", "as the next"])
def test_a_card_that_is_claimed_is_nobody_elses(stores: Stores, task: UUID, by_id: bool) -> None:
    cards = opened(stores, task, HELD)
    assert cards.claim(task if by_id else None)
    assert cards.claim(task) is None
    assert cards.claim() is None
    assert cards.any_open()


def test_whoever_dies_with_a_card_holds_it_up_for_a_while_only(stores: Stores, task: UUID) -> None:
    cards = opened(stores, task, replace(HELD, lease=0.0))
    assert cards.claim(task)
    assert cards.claim(task)


def test_what_was_shown_is_remembered_with_its_place(stores: Stores, task: UUID) -> None:
    cards = opened(stores, task)
    cards.edited(task, "one", AT)
    cards.edited(task, "two", None)
    card = cards.claim(task)
    assert card
    assert (card.at, card.shown) == (AT, "two")


def test_a_card_is_not_edited_twice_within_the_pause(stores: Stores, task: UUID) -> None:
    cards = opened(stores, task, replace(HELD, lease=0.0))
    assert cards.claim(task)
    cards.edited(task, "one", AT)
    assert cards.claim(task) is None
    assert cards.claim() is None


def test_a_message_that_is_an_hour_old_is_edited_more_rarely(stores: Stores, task: UUID) -> None:
    at_once = replace(AT_ONCE, old=3600)
    young = opened(stores, task, at_once, created_at=datetime.now(UTC) - timedelta(minutes=58))
    young.edited(task, "one", AT)
    assert young.claim(task)
    old = opened(stores, other := uuid4(), at_once, created_at=datetime.now(UTC) - timedelta(minutes=60))
    old.edited(other, "one", AT)
    assert old.claim(other) is None


def test_news_do_not_shorten_the_pause(stores: Stores, task: UUID) -> None:
    cards = opened(stores, task, replace(HELD, lease=0.0))
    assert cards.claim(task)
    cards.edited(task, "one", AT)
    assert cards.news(task)
    assert cards.claim() is None


def test_nor_is_it_looked_at_twice(stores: Stores, task: UUID) -> None:
    cards = opened(stores, task, replace(HELD, lease=0.0))
    assert cards.claim(task)
    cards.looked(task)
    assert cards.claim(task) is None


def test_the_card_that_waited_longest_is_next(stores: Stores) -> None:
    cards = stores.make_cards(HELD)
    tasks = [uuid4() for _ in range(3)]
    for task in tasks:
        cards.open(task, OPENED)
        time.sleep(0.002)
    found = [cards.claim() for _ in range(4)]
    assert [card and card.task_id for card in found] == [*tasks, None]


def test_a_task_that_is_still_is_not_looked_at_until_something_happens(stores: Stores) -> None:
    task = stores.accept().run_id
    cards = opened(stores, task, Pace(pause=0, lease=0, idle=3600, slack=0))
    assert cards.claim()
    assert cards.claim() is None
    assert cards.claim(task)
    assert cards.claim() is None
    assert cards.news(task)
    assert cards.claim()
    assert cards.claim() is None
    stores.launch(task)
    assert cards.claim()
    assert cards.claim() is None
    record(stores, task, report(1))
    assert cards.claim()
    assert cards.claim() is None


def test_what_became_visible_late_is_seen_within_the_slack(stores: Stores) -> None:
    task = stores.accept().run_id
    cards = opened(stores, task, AT_ONCE)
    assert cards.claim()
    assert cards.claim()


def test_a_task_that_is_still_is_looked_at_now_and_then(stores: Stores, task: UUID) -> None:
    cards = opened(stores, task, Pace(pause=0, lease=0, idle=0, slack=0))
    assert cards.claim()
    assert cards.claim()


def test_what_is_put_off_waits_and_is_then_looked_at_in_any_case(stores: Stores, task: UUID) -> None:
    cards = opened(stores, task, Pace(pause=0, lease=3600, idle=3600, slack=0))
    assert cards.claim()
    cards.put_off(task, 3600)
    assert cards.claim(task) is None
    cards.put_off(task, 0)
    assert cards.claim()


def test_a_failure_costs_the_pause_and_each_in_a_row_twice_as_much(stores: Stores, task: UUID) -> None:
    cards = opened(stores, task, Pace(pause=0.02, lease=0, idle=3600, slack=0, longest=3600))
    waits = []
    for _ in range(4):
        assert cards.claim(task)
        began = time.monotonic()
        cards.failed(task, 0)
        while not cards.claim():
            time.sleep(0.002)
        waits.append(time.monotonic() - began)
    assert [wait >= least for wait, least in zip(waits, (0.019, 0.039, 0.079, 0.159), strict=True)] == [True] * 4


@pytest.mark.parametrize(("at_least", "longest"), [(3600, 0), (0, 3600)], ids=["as told", "at most"])
def test_a_failure_costs_at_least_what_was_asked_for(stores: Stores, task: UUID, at_least: int, longest: int) -> None:
    cards = opened(stores, task, Pace(pause=0 if at_least else 3600, lease=0, longest=longest))
    cards.failed(task, at_least)
    assert cards.claim(task) is None


def test_after_an_edit_failures_are_counted_anew(stores: Stores, task: UUID) -> None:
    cards = opened(stores, task, Pace(pause=0.01, lease=0, longest=3600))
    for _ in range(30):
        cards.failed(task, 0)
    assert cards.claim(task) is None
    cards.edited(task, "one", AT)
    cards.failed(task, 0)
    time.sleep(0.05)
    assert cards.claim(task)


def test_how_much_of_a_result_is_told_only_grows(stores: Stores, task: UUID) -> None:
    cards = opened(stores, task)
    cards.told(task, "7" * 18, 2)
    cards.told(task, "7" * 18, 1)
    card = cards.claim()
    assert card
    assert (card.thread_id, card.told) == ("7" * 18, 2)


def test_a_card_that_has_ended_is_left_alone(stores: Stores, task: UUID) -> None:
    cards = opened(stores, task)
    for why in ("the task is over", "something else"):
        cards.end(task, why)
    assert cards.claim(task) is None
    assert cards.claim() is None
    assert cards.news(task)
    assert cards.claim() is None
    assert not cards.any_open()
    cards.open(task, OPENED)
    assert cards.claim(task) is None


def facts(stores: Stores, task: UUID) -> TaskFacts:
    found = stores.card_facts.of(task)
    assert found
    return found


def test_there_is_nothing_to_show_of_a_task_that_is_not_accepted(stores: Stores, task: UUID) -> None:
    assert stores.card_facts.of(task) is None


def test_an_accepted_task_shows_what_was_asked_for(stores: Stores) -> None:
    work = {"repository": "owner/repo", "base": "main", "head": "fix", "prompt": "do it" + "!" * 5000}
    found = facts(stores, stores.accept(stage="planning", **work).run_id)
    assert (found.status, found.stage, found.repository) == (RunState.ACCEPTED, "planning", "owner/repo")
    assert (found.base, found.head, found.prompt) == ("main", "fix", work["prompt"][:1000])
    assert (found.attempt, found.usage, found.reason, found.result) == (0, {}, "", "")
    assert (found.launched_at, found.finished_at, found.cancel_requested, found.settled) == (None, None, False, False)
    assert (found.said, found.diff, found.changes, found.artifacts) == (None, "", 0, ())
    assert abs(found.accepted_at - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.fixture
def running(stores: Stores) -> Run:
    return stores.launch(stores.accept().run_id)


def test_a_run_shows_what_was_said_last_and_what_it_costs(stores: Stores, running: Run) -> None:
    record(stores, running.id, report(1), report(2, "log"), report(3, "heartbeat"))
    record(stores, running.id, report(4, "usage", usage={"inputTokens": 7}))
    record(stores, running.id, report(5, "usage", usage={"inputTokens": 3, "costUsd": 0.5}))
    found = facts(stores, running.id)
    assert (found.status, found.attempt, found.said) == (RunState.RUNNING, 1, "content 2")
    assert found.usage == {"inputTokens": 10, "costUsd": 0.5}
    assert found.launched_at


def test_a_run_shows_what_it_changed_and_left(stores: Stores, running: Run) -> None:
    stat = "commit 1\nbranch main\nchanges since 0:\n 9 files changed\n a | 2 +-\n 1 file changed, 1 insertion(+)\n"
    for number, (kind, content) in enumerate([("before", "5 files changed\n"), ("after", stat)], 1):
        snapshot = Snapshot(uuid4(), kind, content, "digest")
        record(stores, running.id, report(number, "snapshot", snapshot=snapshot))
    for number, name in enumerate(("change.patch", "report.md")):
        upload = Upload(uuid4(), name, 5, "ab" * 32, "text/plain", f"tasks/{number}")
        stores.uploads.begin_upload(running.id, 1, upload)
        stores.uploads.commit_upload(running.id, upload, upload.key)
    found = facts(stores, running.id)
    assert (found.diff, found.artifacts) == ("1 file changed, 1 insertion(+)", ("change.patch", "report.md"))


def test_a_task_that_has_ended_shows_its_result_and_when_nothing_follows_any_more(stores: Stores, running: Run) -> None:
    record(stores, running.id, report(1, "completed"), end=DONE)
    ended = facts(stores, running.id)
    assert (ended.status, ended.result, ended.settled, ended.changes) == (RunState.SUCCEEDED, "all done", False, 0)
    assert ended.finished_at
    stores.runs.settle(running, Snapshot(uuid4(), "after", "kind: Job", "digest"), "- one: 1\n+ one: 2\n")
    settled = facts(stores, running.id)
    assert (settled.settled, settled.changes) == (True, 2)


def test_a_wish_to_cancel_shows(stores: Stores, running: Run) -> None:
    stores.cancel(running.id)
    assert facts(stores, running.id).cancel_requested
