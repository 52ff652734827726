"""The same suite for the fakes and for the doors to Postgres."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import pytest

import functions.callback.keep
import functions.callback.record
import functions.codex_intake.accept
import functions.codex_intake.cancel
import functions.dispatcher.dispatch
import functions.dispatcher.look_after
import functions.embedder.embed
import functions.memory_query.access
import functions.memory_query.recall
import shared.events.announcer
from shared.domain.cursors import EntryId
from shared.domain.ids import run_id
from shared.domain.memory import Recalled
from shared.domain.task import Accepted, Cancellation, OpenRun, Run
from shared.domain.timeline import Entry, Page, Story, Wanted
from shared.events.catalogue import (
    RunLaunched,
    TaskAccepted,
    TaskCancelRequested,
    TaskFinished,
    TaskPrepared,
    announce,
)
from shared.events.event import Event
from shared.postgres.database import Database
from shared.postgres.memories import PgMemories
from shared.postgres.outbox import PgOutbox
from shared.postgres.reports import PgReports
from shared.postgres.runs import PgRuns
from shared.postgres.task_views import PgTaskViews
from shared.postgres.tasks import PgTasks
from tests.contract.stores.fake_memories import FakeMemories
from tests.contract.stores.fake_views import FakeViews
from tests.contract.stores.fakes import FakeOutbox, FakeReports, FakeRuns, FakeTasks, World
from tests.integration.postgres.conftest import request


class Runs(
    functions.codex_intake.cancel.Runs,
    functions.dispatcher.dispatch.Runs,
    functions.dispatcher.look_after.Runs,
    Protocol,
):
    def open(self, stuck_seconds: float = 60, slow_seconds: float = 30) -> Sequence[OpenRun]: ...


class Views(Protocol):
    """What is told of tasks."""

    def list(self, tenant: str, wanted: Wanted) -> Page: ...

    def status(self, task_id: UUID, tenant: str) -> Mapping[str, Any] | None: ...

    def timeline(self, task_id: UUID, tenant: str) -> Sequence[Entry]: ...

    def follow(self, task_id: UUID, tenant: str, after: EntryId | None, limit: int) -> Story | None: ...


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

    tasks: functions.codex_intake.accept.Tasks
    views: Views
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
        shown = self.views.status(task, "default")
        assert shown
        return shown["status"], shown["reason"], shown["result"]

    def cancel(self, task: UUID, by: str = "alice", tenant: str = "default") -> Cancellation | None:
        requested = announce(TaskCancelRequested(task), "codex-intake", None)
        ended = announce(TaskFinished(task, "canceled"), "codex-intake", None)
        return self.runs.cancel(task, tenant, by, requested, ended)

    def story(self, task: UUID) -> list[str]:
        """What happened to the task, in its order."""
        return [entry.what for entry in self.views.timeline(task, "default")]

    def waiting(self) -> list[str]:
        """The types of the events in the outbox, which is empty afterwards."""
        taken: list[Event] = []
        self.outbox.relay(taken.append, older_than=0)
        return [event.type.removeprefix("ai.proompteng.codex.") for event in taken]


def fakes() -> Stores:
    world = World()
    tasks, views, runs = FakeTasks(world), FakeViews(world), FakeRuns(world)
    return Stores(tasks, views, runs, FakeReports(world), FakeOutbox(world), FakeMemories(world))


def postgres(database: Database) -> Stores:
    tasks, views, runs = PgTasks(database), PgTaskViews(database), PgRuns(database)
    return Stores(tasks, views, runs, PgReports(database), PgOutbox(database), PgMemories(database))


@pytest.fixture(params=["fakes", "postgres"])
def stores(request: pytest.FixtureRequest) -> Stores:
    return fakes() if request.param == "fakes" else postgres(request.getfixturevalue("database"))
