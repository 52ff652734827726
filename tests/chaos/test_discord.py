"""Interactions while things are away: acknowledged in time, told so, and told the truth when they are back."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest

from shared.broker.publisher import HttpPublisher
from shared.domain.report import End, Report
from shared.domain.run import RunState
from shared.events.catalogue import RunLaunched, RunReported, TaskFinished
from shared.postgres.database import Database
from shared.postgres.outbox import PgOutbox
from shared.postgres.reports import PgReports
from tests.chaos.gate import Gate, gate
from tests.component.conftest import Stage, until
from tests.component.functions import Function, sink
from tests.discord.server import Api
from tests.discord.simulator import ADA, Acknowledged, discord
from tests.discord.stand import Stand, told
from tests.discord.world import ANSWER_SECONDS
from tests.integration.postgres.conftest import launch

# What is tried again is so with pauses of seconds that grow, cards wait for ten where the database was away.
SOON = 60.0


@dataclass
class Outage:
    """The function's servers are behind gates, and its broker refuses what it is told to refuse."""

    stand: Stand
    gates: dict[str, Gate] = field(default_factory=dict)

    def begin(self, names: tuple[str, ...], hangs: bool) -> None:
        for name in names:
            if name == "broker":
                self.stand.broker.status, self.stand.broker.delay = (202, 2.0) if hangs else (503, 0.0)
            elif hangs:
                self.gates[name].hang()
            else:
                self.gates[name].shut()

    def end(self) -> None:
        self.stand.broker.status, self.stand.broker.delay = 202, 0.0
        for one in self.gates.values():
            one.open()


@pytest.fixture
def outage(dsn: str, database: Database, redis_url: str, tmp_path: Path) -> Iterator[Outage]:
    with ExitStack() as stack:
        app, broker = stack.enter_context(discord()), stack.enter_context(sink())
        stand = Stand(app, broker, Stage(dsn, database), redis_url, tmp_path)
        there = Outage(stand)
        for name, variable, url in (
            ("postgres", "FACTEUR_POSTGRES_DSN", dsn),
            ("redis", "FACTEUR_REDIS_URL", redis_url),
        ):
            stand.environment[variable], there.gates[name] = stack.enter_context(gate(url))
        yield there


def at_once(answered: Acknowledged) -> Acknowledged:
    """An interaction that Discord saw acknowledged in time."""
    assert answered.seconds <= ANSWER_SECONDS, answered
    assert answered.known.answered is not None, answered
    return answered


def admitted(answered: Acknowledged) -> bool:
    return any(words in told(answered) for words in ("I keep trying", "not queued yet"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("hangs", [False, True], ids=["gone", "hanging"])
@pytest.mark.parametrize(
    "names",
    [("postgres",), ("redis",), ("broker",), ("postgres", "redis", "broker")],
    ids=lambda names: " ".join(names),
)
def test_whatever_is_away_is_acknowledged_in_time_and_the_truth_comes_when_it_is_back(
    outage: Outage, names: tuple[str, ...], hangs: bool
) -> None:
    stand = outage.stand
    with stand.function() as function:
        known, _ = stand.card(function, "before")
        launch(stand.stage.database, known)
        outage.begin(names, hangs)
        asked = [at_once(stand.discord.interact(function.url, stand.asked(f"during {n}"))) for n in range(3)]
        status = at_once(stand.discord.command(function.url, ["codex", "status"], {"task": str(known)}))
        cancel = at_once(stand.discord.command(function.url, ["codex", "cancel"], {"task": str(known)}))
        assert stand.discord.complete(function.url, ["codex", "status"], {"task": ""}, "task") in ([], [str(known)])
        if "postgres" in names or names == ("broker",):
            until(lambda: any(told(one) for one in asked), SOON)
        outage.end()
        until(lambda: len({event.id for event in stand.requests()}) == 4, SOON)
        tasks = {stand.accept(event) for event in {event.id: event for event in stand.requests()}.values()} - {known}
        until(lambda: all(any(str(task) in told(one) for one in asked) for task in tasks), SOON)
        until(lambda: all(told(one) and not admitted(one) for one in [*asked, status, cancel]), SOON)
        assert str(known) in told(status)
        assert told(cancel).startswith(f"Task `{known}` is asked to stop")
        until(lambda: _relayed(stand, "task.cancel-requested.v1") == 1, SOON)
        # And the cards live: they show what becomes of their tasks.
        for task in tasks:
            launch(stand.stage.database, task)
            stand.hear(function, RunLaunched(task, 1, "job"))
        until(lambda: all("running" in told(one) for one in asked), SOON)
    assert len(tasks) == 3


def _relayed(stand: Stand, name: str) -> int:
    """How many different events of a type the broker has, after the dispatcher's tick sent what was left over."""
    PgOutbox(stand.stage.database).relay(HttpPublisher(stand.broker.url).publish, older_than=0)
    return len({event.id for event in stand.broker.events if event.type.endswith(name)})


def test_what_is_admitted_names_what_is_away(outage: Outage) -> None:
    stand = outage.stand
    with stand.function() as function:
        outage.begin(("postgres", "broker"), hangs=False)
        task = at_once(stand.discord.interact(function.url, stand.asked()))
        status = at_once(stand.discord.command(function.url, ["codex", "status"]))
        until(lambda: "is not queued yet" in told(task), SOON)
        until(lambda: "the database is away" in told(status), SOON)
        outage.end()
        until(lambda: all(told(one) and not admitted(one) for one in (task, status)), SOON)


@dataclass(frozen=True)
class Fault:
    """One way in which Discord is away."""

    begin: Callable[[Api], None]
    end: Callable[[Api], None]


def _set(name: str, value: object) -> Callable[[Api], None]:
    return lambda api: setattr(api, name, value)


FAULTS = {
    "5xx": Fault(_set("away", True), _set("away", False)),
    "cut": Fault(_set("cut", True), _set("cut", False)),
    "timeouts": Fault(_set("slow", 6.0), _set("slow", 0.0)),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_discord_being_away_touches_no_task_and_its_card_is_true_afterwards(outage: Outage, fault: Fault) -> None:
    stand = outage.stand
    with stand.function() as function:
        task, card = stand.card(function)
        fault.begin(stand.discord.api)
        _a_whole_run(stand, function, task)
        assert stand.stage.status(task) == ("succeeded", "")
        before = told(card)
        assert "succeeded" not in before
        fault.end(stand.discord.api)
        until(lambda: "all of it is done" in told(card), SOON)
        assert "succeeded" in told(card)
        # The process answered all the time, and does so still.
        at_once(stand.discord.command(function.url, ["codex", "status"]))


def _a_whole_run(stand: Stand, function: Function, task: UUID) -> None:
    """Launched, reported and ended, with every event handled."""
    reports = PgReports(stand.stage.database)
    launch(stand.stage.database, task)
    stand.hear(function, RunLaunched(task, 1, "job"))
    reports.record(task, 1, [Report("e1", 1, "progress", "half of it")], None, None)
    stand.hear(function, RunReported(task, 1, 1))
    reports.record(task, 1, [Report("e2", 2, "completed")], End(RunState.SUCCEEDED, "", "all of it is done"), None)
    stand.hear(function, TaskFinished(task, "succeeded"))


@pytest.mark.parametrize("lost", ["deleted", "forbidden"])
def test_a_card_that_may_not_be_edited_any_more_ends_quietly(outage: Outage, lost: str) -> None:
    stand = outage.stand
    with stand.function() as function:
        task, card = stand.card(function)
        if lost == "deleted":
            stand.discord.forget(card.original)
        else:
            stand.discord.clock.move(3600)  # the token is over, and the bot is not let in
            stand.discord.forbid(ADA.channel_id)
        before = len(stand.discord.api.seen)
        _a_whole_run(stand, function, task)
        until(lambda: stand.stage.rows("SELECT FROM codex_kb.discord_cards WHERE ended_at IS NOT NULL"), SOON)
        refused = [seen.status for seen in stand.discord.api.seen[before:]]
        stand.hear(function, TaskFinished(task, "succeeded"))
        assert [seen.status for seen in stand.discord.api.seen[before:]] == refused
    # With the token it is asked as often as a message may be on its way still, and once by the bot.
    assert 1 <= len(refused) <= 4
    assert stand.stage.status(task)[0] == "succeeded"
    assert stand.logs().count("a card is left alone") == 1
