"""The same interaction has one effect, wherever and however often it comes; clicks that come to nothing are told so."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from functions.discord_interaction.buttons import custom_id
from shared.local.discord import COMPONENT, MODAL, Person, click, filled, interaction
from tests.component.conftest import until
from tests.component.functions import TOKEN_SECRET, Function
from tests.discord.simulator import ADA, Acknowledged
from tests.discord.stand import Stand, told
from tests.discord.world import Shown
from tests.integration.postgres.conftest import launch

# Seconds for which a button works: no test is so slow that they are over.
LIFE = 3600
BOB = Person(user_id="1000000000000000002")
ELSEWHERE = Person(user_id="1000000000000000003", guild_id="1100000000000000009", channel_id="1110000000000000009")
DEFERRED_PRIVATE = {"type": 5, "data": {"flags": 64}}


def on(shown: Shown, ident: str, who: Person = ADA) -> dict[str, Any]:
    """An interaction that is a click on a button of a message."""
    document = interaction(COMPONENT, click(ident), who)
    return document | {"channel_id": shown.channel_id, "message": shown.document()}


def private(answered: Acknowledged) -> str:
    """What only the user is told, at once or after the acknowledgement."""
    if answered.answer["type"] == 4:
        assert answered.answer["data"]["flags"] == 64
        return answered.said
    assert answered.answer == DEFERRED_PRIVATE
    until(lambda: told(answered))
    return told(answered)


def test_a_command_that_comes_again_is_one_task_with_one_card(stand: Stand) -> None:
    """At once, several times at the same moment, to another process, and after a restart."""
    document = stand.asked("only once")
    with stand.function() as first, stand.function() as second, ThreadPoolExecutor(8) as threads:
        answered = stand.discord.interact(first.url, document)
        urls = [first.url, second.url] * 4
        assert {stand.discord.interact(url, document).status for url in urls} == {200}
        again = list(threads.map(lambda url: stand.discord.interact(url, document), urls))
        until(lambda: told(answered))
    with stand.function() as restarted:
        again.append(stand.discord.interact(restarted.url, document))
        # Whoever comes last is done as well: what another asks for after it is told.
        until(lambda: len(stand.requests()) >= 18)
        private(stand.discord.command(restarted.url, ["codex", "status"]))
    assert [one.answer for one in again] == [{"type": 5}] * 9
    assert len({event.id for event in stand.broker.events}) == 1
    assert len(stand.stage.rows("SELECT FROM codex_kb.discord_cards")) == 1
    shown = [message for message in stand.discord.messages if "requested" in message.content]
    assert shown == [answered.original]
    assert all(later - earlier >= 2 for earlier, later in pairwise(shown[0].edits))


def test_a_click_on_cancel_that_comes_again_ends_the_task_once(stand: Stand) -> None:
    with stand.function() as first, stand.function() as second:
        task, card = stand.card(first)
        launch(stand.stage.database, task)
        pressed = on(card.original, custom_id(TOKEN_SECRET, "cancel", task, int(time.time()) + LIFE))
        answers = [stand.discord.interact(one.url, pressed) for one in (first, second, first)]
        assert private(answers[0]).startswith(f"Task `{task}` is asked to stop")
        until(lambda: "task.cancel-requested.v1" in stand.broker.types())
    asked = [event for event in stand.broker.events if "cancel-requested" in event.type]
    assert len({event.id for event in asked}) == 1
    assert "task.cancel-requested.v1" not in stand.stage.outbox(task)


def test_a_form_that_is_sent_again_is_one_task(stand: Stand) -> None:
    with stand.function() as first, stand.function() as second:
        task, card = stand.card(first, "the first try")
        ident = custom_id(TOKEN_SECRET, "retry-implement", task, int(time.time()) + LIFE)
        form = stand.discord.interact(first.url, on(card.original, ident)).answer
        assert form["data"]["components"][0]["components"][0]["value"] == "the first try"
        sent = interaction(MODAL, filled(form["data"]["custom_id"], {"prompt": "another try"}), ADA)
        for one in (first, second, first):
            assert stand.discord.interact(one.url, sent).answer == {"type": 5}
        until(lambda: len(stand.requests()) >= 4)
    assert len({event.id for event in stand.requests()}) == 2


@pytest.fixture
def card(stand: Stand) -> Shown:
    return Shown("1", ADA.channel_id, 0.0, ephemeral=False)


def pressed(stand: Stand, function: Function, shown: Shown, ident: str, who: Person = ADA) -> str:
    """What whoever presses a button is told in private."""
    return private(stand.discord.interact(function.url, on(shown, ident, who)))


def test_clicks_that_come_to_nothing_are_answered_in_private_and_change_nothing(stand: Stand, card: Shown) -> None:
    later = int(time.time()) + LIFE
    with stand.function(FACTEUR_ROLE_MAP='{"memory": ["100000000000000001"]}') as function:
        task, _ = stand.card(function)
        before = len(stand.broker.events)
        good = custom_id(TOKEN_SECRET, "cancel", task, later)
        stale = custom_id(TOKEN_SECRET, "cancel", task, int(time.time()) - 1)
        assert "too old" in pressed(stand, function, card, stale)
        forged = (
            custom_id("another key that is long enough to be one", "cancel", task, later),
            good.replace(task.hex, uuid4().hex),
            good.replace("cancel", "memory"),
            good[:-1] + ("A" if good[-1] != "A" else "B"),
            "f1:cancel",
            "x" * 100,
            "",
        )
        for ident in forged:
            assert pressed(stand, function, card, ident) == "This button is not one of mine."
        assert "Somebody else asked for this task" in pressed(stand, function, card, good, BOB)
        assert "no task" in pressed(stand, function, card, good, ELSEWHERE)
        assert "no task" in pressed(stand, function, card, custom_id(TOKEN_SECRET, "timeline", uuid4(), later))
        memory = custom_id(TOKEN_SECRET, "memory", task, later)
        assert "roles" in pressed(stand, function, card, memory)
        assert "roles" in pressed(stand, function, card, memory, replace(BOB, guild_id=None))
        assert stand.stage.status(task)[0] == "accepted"
        assert len(stand.broker.events) == before
        assert pressed(stand, function, card, good) == f"Task `{task}` is canceled."
        assert pressed(stand, function, card, good) == f"Task `{task}` is over already: canceled."
