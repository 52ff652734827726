"""The same suite for the fakes and for the doors to Postgres."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from uuid import UUID

import pytest

import functions.callback.keep
import functions.callback.record
import functions.callback.sweep
import functions.codex_intake.accept
import functions.codex_intake.judge
import functions.discord_interaction.cards
import functions.dispatcher.dispatch
import functions.dispatcher.launch
import functions.dispatcher.look_after
import functions.embedder.embed
import functions.memory_query.access
import functions.memory_query.choose
import functions.memory_query.recall
import shared.events.announcer
import shared.events.cancel
from shared.domain.cursors import EntryId
from shared.domain.ids import run_id
from shared.domain.run import RunState
from shared.domain.scope_lift import ScopeLift
from shared.domain.task import Accepted, Cancellation, Caps, OpenRun, Run
from shared.domain.timeline import Entry, Page, Story, Wanted
from shared.events.catalogue import (
    RunLaunched,
    TaskAccepted,
    TaskCancelRequested,
    TaskFinished,
    announce,
)
from shared.events.event import Event
from shared.postgres.card_facts import PgCardFacts
from shared.postgres.database import Database
from shared.postgres.discord_cards import Pace, PgDiscordCards
from shared.postgres.launches import PgLaunches
from shared.postgres.memories import PgMemories
from shared.postgres.memory_learning import PgMemoryLearning
from shared.postgres.memory_migration import PgMigration
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.memory_search import PgMemorySearch
from shared.postgres.memory_trials import PgMemoryTrials
from shared.postgres.outbox import PgOutbox
from shared.postgres.queue import PgQueue
from shared.postgres.reports import PgReports
from shared.postgres.runs import PgRuns
from shared.postgres.task_views import PgTaskViews
from shared.postgres.tasks import PgTasks
from shared.postgres.uploads import PgUploads
from tests.contract.stores.fake_cards import FakeCards, FakeFacts
from tests.contract.stores.fake_memories import FakeMemories, FakeMemoryModels
from tests.contract.stores.fake_memory_search import FakeMemorySearch
from tests.contract.stores.fake_runs import FakeLaunches, FakeQueue, FakeRuns
from tests.contract.stores.fake_trials import FakeLearning, FakeTrials
from tests.contract.stores.fake_uploads import FakeUploads
from tests.contract.stores.fake_views import FakeViews
from tests.contract.stores.fakes import FakeOutbox, FakeReports, FakeTasks, World
from tests.integration.postgres.conftest import request
from tests.patience import PATIENCE


class Runs(
    shared.events.cancel.Runs,
    functions.dispatcher.dispatch.Runs,
    functions.dispatcher.look_after.Runs,
    Protocol,
):
    def open(self, stuck_seconds: float = 60) -> Sequence[OpenRun]: ...


class Launches(
    functions.dispatcher.dispatch.Launches,
    functions.dispatcher.launch.Launches,
    functions.dispatcher.look_after.Launches,
    Protocol,
):
    """Every role of launches."""


class Views(Protocol):
    """What is told of tasks."""

    def list(self, tenant: str, wanted: Wanted) -> Page: ...

    def status(self, task_id: UUID, tenant: str) -> Mapping[str, Any] | None: ...

    def own_status(self, task_id: UUID, attempt: int) -> Mapping[str, Any] | None: ...

    def timeline(self, task_id: UUID, tenant: str) -> Sequence[Entry]: ...

    def follow(self, task_id: UUID, tenant: str, after: EntryId | None, limit: int) -> Story | None: ...


class Uploads(functions.callback.keep.Uploads, functions.callback.sweep.Leftovers, Protocol):
    """Both roles of uploads."""


class Outbox(shared.events.announcer.Outbox, functions.dispatcher.look_after.Outbox, Protocol):
    def relay(self, publish: Callable[[Event], None], limit: int = 100, older_than: float = 3.0) -> int: ...


class Memories(
    functions.embedder.embed.Memories,
    functions.memory_query.access.Tasks,
    functions.memory_query.recall.Vectors,
    Protocol,
):
    """Every role of memories."""


class Models(Protocol):
    """Which model is in use."""

    def in_use(self, configured: str) -> str: ...

    def switch(self, to: str) -> None: ...


class Trials(functions.dispatcher.launch.Trials, functions.memory_query.choose.Trials, Protocol):
    """Both who offer memories."""


class Learning(functions.codex_intake.judge.Learning, Protocol):
    """What outcomes teach."""

    def learn(self, task: UUID) -> None: ...

    def catch_up(self, limit: int = 500, older_than: float = 60.0) -> None: ...

    def lift(self, tenant: str | None = None, repository: str | None = None) -> Sequence[ScopeLift]: ...

    def switch_on(self, name: str) -> bool: ...


class Search(functions.dispatcher.launch.Memories, functions.memory_query.recall.Search, Protocol):
    """Both who search."""


@dataclass
class Stores:
    """Every role of the stores, over the same content."""

    tasks: functions.codex_intake.accept.Tasks
    views: Views
    runs: Runs
    launches: Launches
    queue: functions.dispatcher.dispatch.Queue
    reports: functions.callback.record.Reports
    outbox: Outbox
    memories: Memories
    models: Models
    # A model is being filled, to follow the one in use.
    fill: Callable[[str], None]
    search: Search
    uploads: Uploads
    trials: Trials
    learning: Learning
    card_facts: functions.discord_interaction.cards.Facts
    make_cards: Callable[[Pace], functions.discord_interaction.cards.Store]

    def accept(self, delivery: str = "delivery-1", **changes: Any) -> Accepted:
        event = announce(TaskAccepted(run_id(delivery)), "codex-intake", None)
        return self.tasks.accept(request(delivery, **changes), event, "00-trace")

    def claim(self, task: UUID) -> Run:
        """The run, claimed for its launch before any other."""
        _, run = self.queue.enter(task)
        assert run and run.id == task
        return run

    def launch(self, task: UUID, resource: str = "job") -> Run:
        run = self.claim(task)
        assert self.launched(run, resource)
        return run

    def launched(self, run: Run, resource: str = "job") -> bool:
        event = announce(RunLaunched(run.id, run.attempt, resource), "dispatcher", None)
        return self.launches.launched(run, resource, b"hash", event)

    def finish(self, run: Run, state: RunState, reason: str = "") -> bool:
        event = announce(TaskFinished(run.id, state.value), "dispatcher", None)
        return self.runs.finish(run, state, reason, event)

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


# No caps at all.
ANY = Caps(0, 0, 0, 0)


def fakes(caps: Caps = ANY, lease_seconds: float = 30.0) -> Stores:
    world = World()
    queue, launches = FakeQueue(world, caps, "jobs", lease_seconds), FakeLaunches(world, lease_seconds)
    tasks, views, runs = FakeTasks(world), FakeViews(world), FakeRuns(world)
    reports, outbox, memories = FakeReports(world), FakeOutbox(world), FakeMemories(world)
    models, search, uploads = FakeMemoryModels(world), FakeMemorySearch(world), FakeUploads(world)
    learning = FakeTrials(world), FakeLearning(world)
    cards = FakeFacts(world), partial(FakeCards, world)
    memory = memories, models, models.fill, search
    return Stores(tasks, views, runs, launches, queue, reports, outbox, *memory, uploads, *learning, *cards)


def postgres(database: Database, caps: Caps = ANY, lease_seconds: float = 30.0) -> Stores:
    queue, launches = PgQueue(database, caps, "jobs", lease_seconds), PgLaunches(database, lease_seconds)
    tasks, views, runs = PgTasks(database, lock_seconds=PATIENCE), PgTaskViews(database), PgRuns(database)
    reports, outbox, memories = PgReports(database), PgOutbox(database), PgMemories(database)
    models, search, uploads = PgMemoryModels(database), PgMemorySearch(database), PgUploads(database)
    learning = PgMemoryTrials(database), PgMemoryLearning(database)
    cards = PgCardFacts(database), partial(PgDiscordCards, database)
    memory = memories, models, PgMigration(database).begin, search
    return Stores(tasks, views, runs, launches, queue, reports, outbox, *memory, uploads, *learning, *cards)


MakeStores = Callable[..., Stores]


@pytest.fixture(params=["fakes", "postgres"])
def make_stores(request: pytest.FixtureRequest) -> MakeStores:
    """Stores with caps and leases of one's own."""
    if request.param == "fakes":
        return fakes
    return partial(postgres, request.getfixturevalue("database"))


def held_back(make_stores: MakeStores) -> Stores:
    """Stores in which one run is active, and no other may be."""
    stores = make_stores(Caps(1, 0, 0, 0))
    stores.claim(stores.accept("blocker").run_id)
    stores.waiting()
    return stores


@pytest.fixture
def stores(make_stores: MakeStores) -> Stores:
    return make_stores()
