"""A card of the function as it is deployed: it follows its task over events, reports, restarts and outages."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from functions.discord_interaction.requests import SOURCE
from shared.domain.ids import event_delivery, run_id
from shared.domain.report import End, Report
from shared.domain.run import RunState
from shared.events.catalogue import Fact, RunLaunched, TaskAccepted, TaskFinished, announce
from shared.postgres.reports import PgReports
from shared.postgres.tasks import PgTasks
from tests.component.conftest import Stage, tick, until
from tests.component.functions import Function, Sink, running, settings
from tests.discord.simulator import Discord, discord
from tests.discord.world import Shown
from tests.integration.postgres.conftest import launch, request


@dataclass
class Following:
    """The function's environment, and what is around it."""

    environment: dict[str, str]
    discord: Discord
    stage: Stage
    broker: Sink

    def asked(self, function: Function) -> tuple[UUID, Shown]:
        """Somebody asks for a task; it is accepted, and its card is there."""
        before = len(self.broker.events)
        acknowledged = self.discord.command(function.url, ["codex", "implement"], {"prompt": "follow me"})
        assert acknowledged.status == 200
        until(lambda: len(self.broker.events) > before)
        delivery = event_delivery(SOURCE, self.broker.events[before].id)
        task = run_id(delivery)
        until(lambda: str(task) in acknowledged.original.content)
        PgTasks(self.stage.database).accept(request(delivery), announce(TaskAccepted(task), "codex-intake", None), None)
        return task, acknowledged.original

    def hear(self, function: Function, fact: Fact) -> None:
        assert function.deliver(announce(fact, "dispatcher", None)).status == 204

    def report(self, task: UUID, *reports: Report, end: End | None = None) -> None:
        PgReports(self.stage.database).record(task, 1, reports, end, None)


@pytest.fixture
def following(stage: Stage, broker: Sink, folder: Path, redis_url: str) -> Iterator[Following]:
    with discord() as running_discord:
        environment = settings(stage.dsn, broker.url, folder, redis_url) | running_discord.settings()
        yield Following(environment, running_discord, stage, broker)


@pytest.fixture
def function(following: Following, folder: Path) -> Iterator[Function]:
    with running("discord-interaction", following.environment, folder / f"log-{uuid4()}") as started:
        yield started


def test_a_card_follows_events_and_reports_to_the_end(following: Following, function: Function) -> None:
    task, shown = following.asked(function)
    following.hear(function, TaskAccepted(task))
    until(lambda: "accepted" in shown.content)
    run = launch(following.stage.database, task)
    following.hear(function, RunLaunched(task, run.attempt, "job"))
    until(lambda: "running" in shown.content)
    # A report of which nobody is told.
    following.report(task, Report("e1", 1, "progress", "half of it is done"))
    until(lambda: "half of it is done" in shown.content)
    following.report(task, Report("e2", 2, "completed"), end=End(RunState.SUCCEEDED, "", "all of it is done"))
    following.hear(function, TaskFinished(task, "succeeded"))
    until(lambda: "all of it is done" in shown.content)
    gaps = [later - earlier for earlier, later in pairwise(shown.edits)]
    assert min(gaps) >= 2
    assert following.discord.faults == []


def test_a_process_that_starts_from_zero_goes_on_at_the_next_tick(following: Following, folder: Path) -> None:
    log = folder / f"log-{uuid4()}"
    with running("discord-interaction", following.environment, log) as first:
        task, shown = following.asked(first)
    launch(following.stage.database, task)
    with running("discord-interaction", following.environment, log) as second:
        assert second.deliver(tick()).status == 204
        until(lambda: "running" in shown.content)
    # The token is with Redis alone.
    token = next(iter(following.discord.world.interactions))
    assert token not in log.read_text()
    assert all(token not in str(event) for event in following.broker.events)


def test_events_are_acknowledged_while_discord_is_slow(following: Following, function: Function) -> None:
    asked = [following.asked(function) for _ in range(4)]
    api = following.discord.api
    before = api.came
    api.open.clear()
    for task, _ in asked:
        launch(following.stage.database, task)
        following.hear(function, RunLaunched(task, 1, "job"))
        # From the first of them on, an edit waits for Discord.
        until(lambda: api.came > before)
    api.open.set()
    until(lambda: all("running" in shown.content for _, shown in asked))


def test_a_card_outlives_its_token(following: Following, function: Function) -> None:
    task, shown = following.asked(function)
    following.discord.clock.move(24 * 3600)
    launch(following.stage.database, task)
    following.hear(function, RunLaunched(task, 1, "job"))
    until(lambda: "running" in shown.content)


def test_two_processes_edit_a_card_no_more_often_than_one(
    following: Following, function: Function, folder: Path
) -> None:
    task, shown = following.asked(function)
    launch(following.stage.database, task)
    with running("discord-interaction", following.environment, folder / f"log-{uuid4()}") as other:
        for number in range(1, 60):
            following.report(task, Report(f"e{number}", number, "progress", f"step {number} of many"))
            for one in (function, other):
                following.hear(one, RunLaunched(task, 1, "job"))
        until(lambda: "step 59 of many" in shown.content)
    gaps = [later - earlier for earlier, later in pairwise(shown.edits)]
    assert min(gaps) >= 2


def test_a_card_is_made_true_again_after_discord_was_away(following: Following, function: Function) -> None:
    task, shown = following.asked(function)
    following.discord.api.away = True
    launch(following.stage.database, task)
    following.hear(function, RunLaunched(task, 1, "job"))
    following.report(task, Report("e1", 1, "progress", "meanwhile"))
    following.discord.api.away = False
    until(lambda: "meanwhile" in shown.content)
