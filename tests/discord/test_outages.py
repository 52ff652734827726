"""Discord asks for fewer requests, or for none: it is obeyed to the second, and what was missed is made up for."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.component.test_cards import HOUR, Stage
from tests.discord.server import Api
from tests.discord.simulator import ADA, Discord


def nothing_for_the_bot(api: Api) -> None:
    api.buckets.global_allowed = 0


def nothing_for_the_channel(api: Api) -> None:
    api.shared[ADA.channel_id] = api.now() + 600


def enough_again(api: Api) -> None:
    api.buckets.global_allowed = 50
    api.shared.clear()


@pytest.mark.parametrize(
    ("begin", "pause"), [(nothing_for_the_bot, 1.0), (nothing_for_the_channel, 600.0)], ids=["global", "shared"]
)
def test_a_limit_is_obeyed_and_the_card_is_true_afterwards(
    discord: Discord, begin: Callable[[Api], None], pause: float
) -> None:
    stage = Stage(discord)
    task, shown = stage.card()
    stage.pass_(HOUR)  # from here on it is the bot who edits
    stage.stores.launch(task)
    begin(discord.api)
    before, began = len(discord.api.seen), discord.clock()
    for number in range(1, 400):
        stage.say(task, number)
        stage.follow(task)
        assert stage.pass_(1)
    refused = [seen.at for seen in discord.api.seen[before:]]
    assert {seen.status for seen in discord.api.seen[before:]} == {429}
    # Never again before the time that was told; what cannot be known is only how long it takes.
    assert all(later - earlier >= min(pause, 1.0) for earlier, later in pairwise(refused))
    assert len(refused) <= max(1, (discord.clock() - began) / pause)
    assert "running" not in shown.content
    enough_again(discord.api)
    stage.pass_(pause + 1)
    stage.pass_(31)
    assert "content 399\n" in shown.content


def test_a_bot_that_may_nothing_asks_far_less_than_discord_would_punish(discord: Discord) -> None:
    """Each card of a channel that the bot was thrown out of is left alone after one refusal."""
    stage = Stage(discord)
    cards = [stage.card(f"task-{number}") for number in range(200)]
    stage.pass_(HOUR)
    discord.forbid(ADA.channel_id)
    for task, _ in cards:
        stage.stores.launch(task)
    rounds = sum(1 for _ in iter(lambda: stage.pass_(31), False))
    assert rounds < 200
    assert sum(seen.status == 403 for seen in discord.api.seen) == len(cards)
    assert {stage.held(task).ended is not None for task, _ in cards} == {True}
