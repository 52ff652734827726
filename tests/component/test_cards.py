"""Cards before a Discord that keeps its rules, over hours that pass at once."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.discord_interaction import buttons
from functions.discord_interaction.cards import Cards
from functions.discord_interaction.showing import Showing
from shared.domain.card import Opened
from shared.domain.ids import run_id
from shared.domain.report import End, Snapshot
from shared.domain.run import RunState
from shared.local.discord import COMMAND, Person, command, interaction
from shared.postgres.discord_cards import Pace
from shared.redis.connection import Connection
from shared.redis.interactions import RedisInteractions
from tests.contract.stores.conftest import Stores, fakes
from tests.contract.stores.fake_cards import FakeCards, Held
from tests.contract.stores.fakes import FakeTasks
from tests.contract.stores.test_reports import record, report
from tests.discord.server import BOT_TOKEN
from tests.discord.simulator import ADA, Discord, discord
from tests.discord.world import Known, Shown

HOUR = 3600
DEFERRED, EPHEMERAL = 5, 64
STRANGER = Person(user_id="1000000000000000009", guild_id=None, channel_id="1110000000000000009")


@pytest.fixture
def app() -> Iterator[Discord]:
    with discord() as running:
        yield running


@dataclass
class Stage:
    """One application over stores in memory, whose time is Discord's."""

    discord: Discord
    bot: bool = True
    threads: bool = False
    stores: Stores = field(default_factory=fakes)

    def __post_init__(self) -> None:
        assert isinstance(self.stores.tasks, FakeTasks)
        self.store = FakeCards(self.stores.tasks.world, Pace(), self.discord.clock)
        self.tokens = RedisInteractions(Connection(None), self.discord.clock)
        self.cards = self.process(self.tokens)

    def process(self, tokens: RedisInteractions) -> Cards:
        """The function once more, with the tokens that it knows."""
        api = self.discord.client(BOT_TOKEN if self.bot else None)
        showing = Showing(self.store, tokens, api, self.now, bot=self.bot, threads=self.threads)
        return Cards(self.store, self.stores.card_facts, tokens, showing, _button, self.now, lambda _: "")

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.discord.clock(), UTC)

    def asked(self, name: str = "one", who: Person = ADA, ephemeral: bool = False) -> tuple[UUID, Opened, Known]:
        """Somebody used a command; its acknowledgement has reached Discord."""
        document = interaction(COMMAND, command(["codex", "plan"], {"prompt": name}), who, self.discord.clock())
        known = self.discord.world.come(document)
        flags = {"data": {"flags": EPHEMERAL}} if ephemeral else {}
        self.discord.world.acknowledge(known, {"type": DEFERRED, **flags})
        return run_id(name), _opened(document, ephemeral, self.now()), known

    def card(self, name: str = "one", who: Person = ADA, ephemeral: bool = False) -> tuple[UUID, Shown]:
        """A task that was asked for and accepted, and its card."""
        task, interaction, known = self.asked(name, who, ephemeral)
        self.cards.opened(task, interaction)
        self.stores.accept(name)
        assert known.original
        return task, known.original

    def say(self, task: UUID, number: int) -> None:
        record(self.stores, task, report(number))

    def end(self, task: UUID, result: str) -> None:
        record(self.stores, task, report(9999, "completed"), end=End(RunState.SUCCEEDED, "", result))

    def settle(self, task: UUID) -> None:
        (ended,) = [run for run in self.stores.runs.unsettled() if run.run.id == task]
        self.stores.runs.settle(ended.run, None, "")

    def pass_(self, seconds: float) -> bool:
        """Time passes, and then the follower has its turn."""
        self.discord.clock.move(seconds)
        return self.cards.round()

    def follow(self, task: UUID) -> None:
        """An event of the task is heard, and then the follower has its turn."""
        self.cards.heard(task)
        self.cards.round()

    def held(self, task: UUID) -> Held:
        return self.store.held[task]


def _button(kind: str, task: UUID) -> dict[str, Any]:
    return buttons.button("k" * 32, kind, task, 4_000_000_000)


def _opened(document: dict[str, Any], ephemeral: bool, now: datetime) -> Opened:
    guild = document.get("guild_id")
    return Opened(
        str(document["application_id"]),
        str(document["token"]),
        str(document["channel_id"]),
        str(guild) if guild else None,
        ADA.user_id,
        ephemeral,
        now,
    )


@pytest.fixture
def stage(app: Discord) -> Stage:
    return Stage(app)


def test_a_card_is_there_before_its_task_is(stage: Stage) -> None:
    task, interaction, known = stage.asked()
    stage.cards.opened(task, interaction)
    assert known.original
    assert "requested" in known.original.content
    assert str(task) in known.original.content
    assert not known.original.buttons


def test_the_same_interaction_has_one_card(stage: Stage) -> None:
    task, interaction, known = stage.asked()
    for _ in range(3):
        stage.cards.opened(task, interaction)
        stage.discord.clock.move(3)
    assert known.original
    assert len(known.original.history) == 1
    assert len(stage.discord.messages) == 1


def test_a_card_follows_its_task_from_state_to_state(stage: Stage) -> None:
    task, shown = stage.card()
    for happen, expected in (
        (lambda: None, "accepted"),
        (lambda: stage.stores.launch(task), "running"),
        (lambda: stage.say(task, 1), "content 1"),
        (lambda: stage.say(task, 2), "content 2"),
        (lambda: stage.end(task, "all is well"), "all is well"),
    ):
        happen()
        stage.discord.clock.move(3)
        stage.follow(task)
        assert expected in shown.content
    assert len(shown.history) == 6
    assert set(shown.buttons) == {"Retry", "Timeline", "Memory"}


def test_whoever_brings_an_event_does_not_wait_for_discord(stage: Stage) -> None:
    task, shown = stage.card()
    stage.stores.launch(task)
    stage.discord.clock.move(3)
    asked = len(stage.discord.api.seen)
    stage.cards.heard(task)
    assert len(stage.discord.api.seen) == asked
    stage.cards.round()
    assert "running" in shown.content


def test_a_card_that_would_look_the_same_is_not_edited(stage: Stage) -> None:
    task, shown = stage.card()
    stage.pass_(60)
    edits = len(shown.history)
    for _ in range(20):
        stage.pass_(30)
        stage.follow(task)
    assert len(shown.history) == edits


def test_a_card_is_edited_once_in_two_seconds_by_all_processes_together(stage: Stage) -> None:
    task, shown = stage.card()
    stage.stores.launch(task)
    processes = [stage.cards, stage.process(stage.tokens)]
    for number in range(1, 101):
        stage.say(task, number)
        stage.discord.clock.move(0.1)
        for cards in processes:
            cards.heard(task)
            cards.round()
    stage.pass_(31)
    gaps = [later - earlier for earlier, later in pairwise(shown.edits)]
    assert min(gaps) >= 2
    assert len(shown.edits) >= 5
    assert "content 100" in shown.content


@pytest.mark.parametrize("who", [ADA, STRANGER], ids=["on a server", "in a direct message"])
def test_a_run_of_a_day_is_still_followed(stage: Stage, who: Person) -> None:
    task, shown = stage.card(who=who)
    stage.stores.launch(task)
    for hour in range(1, 25):
        stage.say(task, hour)
        assert stage.pass_(HOUR)
        assert f"content {hour}" in shown.content
    stage.end(task, "done at last")
    stage.pass_(31)
    assert "done at last" in shown.content
    # By the token as long as it lived, and then by the bot.
    paths = [seen.path for seen in stage.discord.api.seen]
    assert sum("webhooks" in path for path in paths) == 1
    assert {seen.status for seen in stage.discord.api.seen} == {200}


@pytest.mark.parametrize(("bot", "ephemeral"), [(False, False), (True, True)], ids=["no bot", "private"])
def test_a_card_that_cannot_last_says_so_before_its_token_ends(app: Discord, bot: bool, ephemeral: bool) -> None:
    stage = Stage(app, bot=bot)
    task, shown = stage.card(ephemeral=ephemeral)
    stage.stores.launch(task)
    for _ in range(27):
        stage.pass_(30)
    assert "/codex status" not in shown.content
    while stage.pass_(30):
        pass
    assert "/codex status" in shown.content
    assert stage.discord.clock() < stage.held(task).card.token_until.timestamp()
    assert stage.held(task).ended == "the interaction's token is over"
    edits = len(shown.history)
    stage.end(task, "nobody sees it")
    stage.follow(task)
    stage.pass_(HOUR)
    assert len(shown.history) == edits
    assert {seen.status for seen in app.api.seen} == {200}


def test_a_short_task_ends_without_such_words(app: Discord) -> None:
    stage = Stage(app, bot=False)
    task, shown = stage.card()
    stage.stores.launch(task)
    stage.end(task, "quickly done")
    stage.pass_(31)
    while stage.pass_(31):
        pass
    assert "quickly done" in shown.content
    assert "/codex status" not in shown.content


def test_a_card_waits_for_what_follows_the_end_of_its_task(stage: Stage) -> None:
    task, shown = stage.card()
    run = stage.stores.launch(task)
    stage.end(task, "done")
    assert stage.pass_(31)
    stage.stores.runs.settle(run, Snapshot(uuid4(), "after", "kind: Job", "digest"), "- a: 1\n+ a: 2\n")
    assert not stage.pass_(31)
    assert "2 lines of the targets" in shown.content
    assert stage.held(task).ended == "the task is over"


def test_and_does_not_wait_for_ever(stage: Stage) -> None:
    task, _ = stage.card()
    stage.stores.launch(task)
    stage.end(task, "done")
    assert stage.pass_(31)
    assert not stage.pass_(301)
    assert stage.held(task).ended == "the task is over"


def test_a_task_that_nobody_accepts_is_not_passed_over_in_silence(stage: Stage) -> None:
    task, interaction, known = stage.asked()
    stage.cards.opened(task, interaction)
    stage.pass_(61)
    assert known.original
    assert "not accepted yet" in known.original.content
    assert not stage.pass_(24 * HOUR)
    assert stage.held(task).ended


def test_discord_being_away_is_noticed_by_nobody_and_then_made_up_for(stage: Stage) -> None:
    task, shown = stage.card()
    stage.stores.launch(task)
    stage.discord.api.away = True
    before = len(stage.discord.api.seen)
    for minute in range(1, 61):
        stage.say(task, minute)
        stage.follow(task)
        assert stage.pass_(60)
    asked = len(stage.discord.api.seen) - before
    assert asked < 30  # fewer and fewer, but one in five minutes
    stage.discord.api.away = False
    stage.pass_(301)
    assert "content 60" in shown.content


def test_when_discord_is_away_one_card_finds_out_for_all_of_a_round(stage: Stage) -> None:
    for number in range(10):
        stage.card(f"task-{number}")
    stage.discord.api.away = True
    before = len(stage.discord.api.seen)
    stage.pass_(31)
    assert len(stage.discord.api.seen) == before + 1


def test_a_card_that_has_to_wait_for_its_bucket_holds_no_other_up(stage: Stage) -> None:
    tasks = [stage.card(f"task-{number}") for number in range(12)]
    stage.pass_(16 * 60)  # from here on all of them are edited by the bot, in one channel
    for task, _ in tasks:
        stage.stores.launch(task)
    for _ in range(6):
        stage.pass_(31)
    assert [shown.content.count("running") for _, shown in tasks] == [1] * 12


@pytest.mark.parametrize("late", [False, True], ids=["while the token lives", "by the bot"])
def test_a_deleted_message_ends_the_card_quietly(stage: Stage, late: bool) -> None:
    task, shown = stage.card()
    stage.pass_(HOUR if late else 60)
    stage.discord.forget(shown)
    stage.stores.launch(task)
    assert not stage.pass_(31)
    assert stage.held(task).ended
    before = len(stage.discord.api.seen)
    stage.follow(task)
    stage.pass_(HOUR)
    assert len(stage.discord.api.seen) == before


def test_a_lost_permission_ends_the_card_quietly(stage: Stage) -> None:
    task, shown = stage.card()
    stage.pass_(HOUR)
    stage.discord.forbid(shown.channel_id)
    stage.stores.launch(task)
    assert not stage.pass_(31)
    assert stage.held(task).ended


def test_a_token_that_is_lost_leaves_the_card_to_the_bot(stage: Stage) -> None:
    task, shown = stage.card()
    stage.cards = stage.process(RedisInteractions(Connection(None), stage.discord.clock))
    stage.stores.launch(task)
    stage.pass_(31)
    assert "running" in shown.content


def test_a_process_without_the_token_leaves_the_card_to_the_one_that_has_it(app: Discord) -> None:
    stage = Stage(app, bot=False)
    task, shown = stage.card()
    other = stage.process(RedisInteractions(Connection(None), app.clock))
    stage.stores.launch(task)
    app.clock.move(31)
    assert other.round()
    assert "running" not in shown.content
    stage.pass_(1)
    assert "running" in shown.content
    assert stage.held(task).ended is None


def test_without_any_token_the_card_ends_when_there_can_be_none(app: Discord) -> None:
    stage = Stage(app, bot=False)
    task, shown = stage.card()
    edits = len(shown.history)
    stage.cards = stage.process(RedisInteractions(Connection(None), app.clock))
    assert stage.pass_(60)
    while stage.pass_(60):
        pass
    assert len(shown.history) == edits
    assert stage.held(task).ended == "the interaction's token is over"


def test_a_card_that_could_not_be_opened_is_opened_with_the_next_event(stage: Stage) -> None:
    task, interaction, known = stage.asked()
    stage.tokens.put(task, interaction)  # and then the process died
    stage.stores.accept("one")
    stage.follow(task)
    assert known.original
    assert "accepted" in known.original.content


def test_a_task_from_elsewhere_has_no_card(stage: Stage) -> None:
    task = stage.stores.accept("one").run_id
    stage.follow(task)
    assert not stage.cards.round()
    assert stage.discord.api.seen == []


def test_an_acknowledgement_that_is_slow_costs_no_card(stage: Stage) -> None:
    document = interaction(COMMAND, command(["codex", "plan"], {}), ADA, stage.discord.clock())
    known = stage.discord.world.come(document)
    stage.cards.opened(run_id("one"), _opened(document, False, stage.now()))
    stage.discord.world.acknowledge(known, {"type": DEFERRED})
    stage.pass_(3)
    assert known.original
    assert "requested" in known.original.content


def test_a_result_is_told_in_full_in_a_thread_once(app: Discord) -> None:
    stage = Stage(app, threads=True)
    task, shown = stage.card()
    stage.stores.launch(task)
    result = "\n".join(f"line {number} of the @everyone result" for number in range(200))
    stage.end(task, result)
    stage.settle(task)
    stage.pass_(31)
    while stage.pass_(3):
        pass
    told = [message for message in app.messages if message.channel_id == shown.id]
    assert shown.thread_id == shown.id
    assert len(told) > 1
    words = "\n".join(message.content.removeprefix("```\n").removesuffix("\n```") for message in told)
    assert words.replace("\u200b", "") == result
    assert "@everyone" not in words
    assert stage.held(task).ended == "the task is over"


def test_a_part_that_is_told_and_not_noted_is_told_once(app: Discord) -> None:
    stage = Stage(app, threads=True)
    task, shown = stage.card()
    stage.stores.launch(task)
    stage.end(task, "the result")
    stage.settle(task)
    stage.pass_(31)
    held = stage.held(task)
    assert held.card.told == 1
    held.card = replace(held.card, thread_id=None, told=0)
    while stage.pass_(3):
        pass
    assert len([message for message in app.messages if message.channel_id == shown.id]) == 1


def test_no_thread_is_begun_in_a_direct_message(app: Discord) -> None:
    stage = Stage(app, threads=True)
    task, shown = stage.card(who=STRANGER)
    stage.stores.launch(task)
    stage.end(task, "the result")
    stage.settle(task)
    stage.pass_(31)
    assert not stage.pass_(31)
    assert shown.thread_id is None
    assert stage.held(task).ended == "the task is over"
