"""The same suite for the fakes and for the doors to Postgres."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import pytest

import functions.callback.keep
import functions.callback.record
import functions.codex_intake.accept
import functions.dispatcher.dispatch
import functions.dispatcher.look_after
import functions.embedder.embed
import functions.memory_query.access
import functions.memory_query.recall
import shared.events.announcer
from shared.domain.ids import run_id
from shared.domain.memory import Recalled
from shared.domain.task import Accepted, OpenRun, Run
from shared.events.catalogue import RunLaunched, TaskAccepted, TaskPrepared, announce
from shared.events.event import Event
from shared.postgres.database import Database
from shared.postgres.memories import PgMemories
from shared.postgres.outbox import PgOutbox
from shared.postgres.reports import PgReports
from shared.postgres.runs import PgRuns
from shared.postgres.tasks import PgTasks
from tests.contract.stores.fake_memories import FakeMemories
from tests.contract.stores.fakes import FakeOutbox, FakeReports, FakeRuns, FakeTasks, World
from tests.integration.postgres.conftest import request


class Runs(functions.dispatcher.dispatch.Runs, functions.dispatcher.look_after.Runs, Protocol):
    def open(self, stuck_seconds: float = 60, slow_seconds: float = 30) -> Sequence[OpenRun]: ...


class Tasks(functions.codex_intake.accept.Tasks, Protocol):
    def status(self, task_id: UUID, tenant: str) -> Any: ...


class Reports(functions.callback.record.Reports, functions.callback.keep.Uploads, Protocol):
    """Both roles of the callback."""


class Outbox(shared.events.announcer.Outbox, functions.dispatcher.look_after.Outbox, Protocol):
    def relay(self, publish: Callable[[Event], None], limit: int = 100, older_than: float = 3.0) -> int: ...


class Memories(
    functions.embedder.embed.Memories,
    functions.dispatcher.dispatch.Memories,
    functions.memory_query.recall.Memories,
    functions.memory_query.access.Tasks,
    Protocol,
):
    def expose(self, task: UUID, attempt: int, shown: Sequence[Recalled]) -> None: ...


@dataclass
class Stores:
    """Every role of the stores, over the same content."""

    tasks: Tasks
    runs: Runs
    reports: Reports
    outbox: Outbox
    memories: Memories

    def accept(self, delivery: str = "delivery-1", **changes: Any) -> Accepted:
        event = announce(TaskAccepted(run_id(delivery)), "codex-intake", None)
        return self.tasks.accept(request(delivery, **changes), event, "00-trace")

    def launch(self, task: UUID, resource: str = "job") -> Run:
        run = self.runs.claim(task)
        assert run
        event = announce(RunLaunched(task, run.attempt, resource), "dispatcher", None)
        assert self.runs.launched(run, resource, b"hash", [], announce(TaskPrepared(task), "embedder", None), event)
        return run

    def status(self, task: UUID) -> tuple[str, str, str]:
        shown = self.tasks.status(task, "default")
        return shown["status"], shown["reason"], shown["result"]

    def waiting(self) -> list[str]:
        """The types of the events in the outbox, which is empty afterwards."""
        taken: list[Event] = []
        self.outbox.relay(taken.append, older_than=0)
        return [event.type.removeprefix("ai.proompteng.codex.") for event in taken]


def fakes() -> Stores:
    world = World()
    return Stores(FakeTasks(world), FakeRuns(world), FakeReports(world), FakeOutbox(world), FakeMemories(world))


def postgres(database: Database) -> Stores:
    doors = PgTasks(database), PgRuns(database), PgReports(database), PgOutbox(database), PgMemories(database)
    return Stores(*doors)


@pytest.fixture(params=["fakes", "postgres"])
def stores(request: pytest.FixtureRequest) -> Stores:
    return fakes() if request.param == "fakes" else postgres(request.getfixturevalue("database"))
