"""discord-interaction as it is deployed, with all that is around it: servers, a broker, a Discord with its rules."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import redis

from functions.discord_interaction.requests import SOURCE
from shared.domain.ids import event_delivery, run_id
from shared.events.catalogue import TASK_REQUESTED, Fact, TaskAccepted, announce
from shared.events.event import Event
from shared.local.discord import COMMAND, Person, command, interaction
from shared.postgres.tasks import PgTasks
from tests.component.conftest import Stage, until
from tests.component.functions import Function, Sink, running, settings
from tests.discord.simulator import ADA, Acknowledged, Discord
from tests.integration.postgres.conftest import request

_TABLES = """
SELECT table_schema || '.' || table_name AS name FROM information_schema.tables
WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'
"""


@dataclass
class Stand:
    """What a test of the whole function needs. `environment` is the function's."""

    discord: Discord
    broker: Sink
    stage: Stage
    redis_url: str
    folder: Path
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        every = settings(self.stage.dsn, self.broker.url, self.folder, self.redis_url)
        self.environment = every | self.discord.settings()
        self.redis.flushall()

    @property
    def redis(self) -> "redis.Redis":
        return redis.Redis.from_url(self.redis_url, decode_responses=True)

    @contextmanager
    def function(self, **more: str) -> Iterator[Function]:
        """The function as a process, with other settings where they are given; all write to one log."""
        with running("discord-interaction", self.environment | more, self.folder / "log") as function:
            yield function

    def asked(self, prompt: str = "do it", who: Person = ADA) -> dict[str, Any]:
        """An interaction that asks for a task, not sent yet."""
        return interaction(COMMAND, command(["codex", "implement"], {"prompt": prompt}), who, self.discord.clock())

    def card(self, function: Function, prompt: str = "do it", who: Person = ADA) -> tuple[UUID, Acknowledged]:
        """Somebody asks for a task, it is accepted as codex-intake would, and its card is there."""
        before = len(self.requests())
        answered = self.discord.interact(function.url, self.asked(prompt, who))
        until(lambda: len(self.requests()) > before)
        task = self.accept(self.requests()[before])
        until(lambda: str(task) in told(answered))
        return task, answered

    def accept(self, event: Event) -> UUID:
        """The task that an event asks for, as codex-intake leaves it."""
        delivery, said = event_delivery(SOURCE, event.id), json.loads(event.data or b"")
        names = ("prompt", "stage", "metadata")
        given = {name: said[name] for name in names} | {"caller": said["metadata"]["caller"], "tenant": "default"}
        accepted = announce(TaskAccepted(run_id(delivery)), "codex-intake", None)
        PgTasks(self.stage.database).accept(request(delivery, **given), accepted, None)
        return run_id(delivery)

    def requests(self) -> list[Event]:
        """The events that asked for a task, each as often as the broker got it."""
        return [event for event in self.broker.events if event.type == TASK_REQUESTED]

    def hear(self, function: Function, fact: Fact) -> None:
        """An event of a task is handled, whatever else is wrong."""
        assert function.deliver(announce(fact, "dispatcher", None)).status == 204

    def logs(self) -> str:
        return (self.folder / "log").read_text()

    def dump(self) -> Mapping[str, list[str]]:
        """Every row of every table, as text."""
        tables = [row["name"] for row in self.stage.rows(_TABLES)]
        return {
            name: [row["row"] for row in self.stage.rows(f"SELECT kept::text AS row FROM {name} AS kept")]  # noqa: S608
            for name in tables
        }


def told(answered: Acknowledged) -> str:
    """What the message that answers an interaction shows now; "" while nothing followed the acknowledgement."""
    return answered.known.original.content if answered.known.original else ""
