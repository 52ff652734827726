"""A run of a day: its card stays true, by the token and then by the bot, and no limit is ever reached."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.component.test_cards import Stage
from tests.discord.simulator import Discord

MINUTE, HOUR = 60, 3600
DAY = 24 * HOUR
# When the agent says something every second: at first, when the token ends, when the message is an hour old, at last.
BUSY = ((0, 40), (14 * MINUTE + 40, 15 * MINUTE + 20), (HOUR - 40, HOUR + 60), (DAY - 40, DAY))


def seconds() -> Iterator[int]:
    """How long the agent is silent each time, over a day."""
    said = {moment for begin, end in BUSY for moment in range(begin, end + 1)} | set(range(0, DAY + 1, 5 * MINUTE))
    return (later - earlier for earlier, later in pairwise(sorted(said)))


def test_a_card_is_true_for_24_hours_within_every_limit(discord: Discord) -> None:
    stage = Stage(discord)
    task, shown = stage.card()
    stage.stores.launch(task)
    began = discord.clock()
    for number, silent in enumerate(seconds(), 1):
        stage.say(task, number)
        stage.follow(task)
        stage.pass_(silent)
        if silent > 30:
            assert f"content {number}\n" in shown.content
    stage.end(task, "a day's work is done")
    stage.settle(task)
    stage.pass_(31)
    assert "a day's work is done" in shown.content
    assert not stage.pass_(31)
    assert discord.clock() - began > DAY
    assert min(later - earlier for earlier, later in pairwise(shown.edits)) >= 2
    # Nothing was refused, not even when the message was old: Discord allows three edits in 20 seconds then.
    assert {seen.status for seen in discord.api.seen} == {200}
    by_token = [seen.at for seen in discord.api.seen if "/webhooks/" in seen.path]
    by_bot = [seen.at for seen in discord.api.seen if "/channels/" in seen.path]
    assert max(by_token) - min(by_token) > 14 * MINUTE
    assert max(by_token) < began + 15 * MINUTE <= min(by_bot)
    assert max(by_bot) > began + DAY
    assert len(shown.edits) > 24 * 12


@pytest.mark.timeout(300)
def test_many_cards_of_one_channel_stay_true_for_a_day_with_few_refusals(discord: Discord) -> None:
    """Two processes share what the channel allows, and know of each other only by what Discord says."""
    stage = Stage(discord)
    cards = [stage.card(f"task-{number}") for number in range(12)]
    for task, _ in cards:
        stage.stores.launch(task)
    processes = [stage.cards, stage.process(stage.tokens)]
    for hour in range(1, 25):
        for task, _ in cards:
            stage.say(task, hour)
        for turn in range(60):
            discord.clock.move(2)
            processes[turn % 2].round()
        discord.clock.move(HOUR - 120)
    for process in processes * 6:
        discord.clock.move(31)
        process.round()
    assert ["content 24\n" in shown.content for _, shown in cards] == [True] * 12
    for _, shown in cards:
        assert min(later - earlier for earlier, later in pairwise(shown.edits)) >= 2
    refused = [seen.at for seen in discord.api.seen if seen.status == 429]
    assert {seen.status for seen in discord.api.seen} <= {200, 429}
    # Of 10,000 in ten minutes, beyond which Discord shuts everything out.
    assert max((sum(at <= other < at + 600 for other in refused) for at in refused), default=0) < 100
