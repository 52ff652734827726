"""What the tests of one function share: a database and a broker for the module, and a way to put tasks into them."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from functions.embedder.embed import Embed
from shared.domain.ids import run_id
from shared.domain.task import Run
from shared.domain.task_token import mint_task_token
from shared.embeddings import Embedder
from shared.embeddings.offline import OfflineEmbedder
from shared.events.catalogue import PING, TaskAccepted, announce
from shared.events.event import Event
from shared.postgres.database import Database, Row
from shared.postgres.memories import PgMemories
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.scratch import scratch_database
from shared.postgres.tasks import PgTasks
from tests.component.functions import API_TOKEN, READ_ONLY_TOKEN, TOKEN_SECRET, Function, Sink, authorised, sink
from tests.contract.embedders.direct import Direct, FakeLater
from tests.integration.postgres.conftest import claim, launch, request
from tests.patience import PATIENCE

COLLEAGUE_TOKEN = "the-token-of-another-caller-of-the-same-tenant"
STRANGER_TOKEN = "the-token-of-a-caller-of-another-tenant"
NO_PROXY = {"NO_PROXY": "127.0.0.1"}


def api_tokens() -> str:
    """FACTEUR_API_TOKENS with two callers of one tenant, one of another, and one that may only read."""
    everything = ["tasks:write", "tasks:read", "memory:read"]
    known = [
        ("tests", API_TOKEN, "default", everything),
        ("colleague", COLLEAGUE_TOKEN, "default", everything),
        ("stranger", STRANGER_TOKEN, "elsewhere", everything),
        ("reader", READ_ONLY_TOKEN, "default", ["tasks:read"]),
    ]
    return json.dumps(
        [
            {"caller": name, "sha256": hashlib.sha256(token.encode()).hexdigest(), "scopes": scopes, "tenant": tenant}
            for name, token, tenant, scopes in known
        ]
    )


def tick() -> Event:
    """What the PingSource sends every minute."""
    return Event(str(uuid4()), "/apis/v1/namespaces/default/pingsources/tick", PING)


def until(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Waits for something that happens by itself."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@dataclass
class Stage:
    """The database of a module's function, and tasks put where the test needs them."""

    dsn: str
    database: Database

    def accept(self, prompt: str = "", delivery: str = "", **changes: Any) -> UUID:
        """A new task, as codex-intake leaves it; its id follows from the delivery, where one is given."""
        delivery = delivery or str(uuid4())
        wanted = request(delivery, **({"prompt": prompt} if prompt else {}), **changes)
        event = announce(TaskAccepted(run_id(delivery)), "codex-intake", None)
        PgTasks(self.database).accept(wanted, event, None)
        self._told(run_id(delivery))
        return run_id(delivery)

    def launch(self, prompt: str = "", **changes: Any) -> tuple[UUID, dict[str, str]]:
        """A task that runs, as the dispatcher leaves it, with the headers of its container."""
        task = self.accept(prompt, **changes)
        run = launch(self.database, task, f"job-{task}")
        self._told(task)
        return task, authorised(mint_task_token(TOKEN_SECRET, task, run.attempt))

    def claim(self, task: UUID) -> Run:
        return claim(self.database, task)

    def remember(self, prompt: str, embedder: Embedder | None = None, **changes: Any) -> UUID:
        """A task whose prompt is in the memory index."""
        task = self.accept(prompt, **changes)
        self.embed(task, embedder)
        return task

    def embed(self, task: UUID, embedder: Embedder | None = None) -> None:
        received = announce(TaskAccepted(task), "codex-intake", None)
        direct = Direct(embedder or OfflineEmbedder())
        PgMemoryModels(self.database).in_use(f"{direct.model}:{direct.dimension}")
        embed = Embed(PgMemories(self.database), direct, FakeLater(), lambda _: None, lambda: True)
        embed.accepted(task, received, None)
        self._told(task)

    def clear_outbox(self) -> None:
        self.database.do("DELETE FROM codex_kb.outbox", {})

    def _told(self, task: UUID) -> None:
        """The broker has the events of this task; those of others wait on."""
        self.database.do("DELETE FROM codex_kb.outbox WHERE event::jsonb->>'subject' = %(task)s::text", {"task": task})

    def rows(self, statement: str, task: UUID | None = None, **parameters: Any) -> Sequence[Row]:
        return self.database.all(statement, {"task": task, **parameters})

    def change(self, statement: str, task: UUID, **parameters: Any) -> None:
        """Changes a row as time, or another function, would have changed it."""
        assert self.database.do(statement, {"task": task, **parameters}) == 1

    @contextmanager
    def locked(self, task: UUID) -> Iterator[None]:
        """Somebody else holds the task's row meanwhile."""
        with psycopg.connect(self.dsn) as other:
            other.execute("SELECT FROM codex_kb.codex_tasks WHERE id = %s FOR UPDATE", [task])
            yield

    def status(self, task: UUID) -> tuple[str, str]:
        """Status and reason of a task."""
        (row,) = self.rows("SELECT status, reason FROM codex_kb.codex_tasks WHERE id = %(task)s", task)
        return row["status"], row["reason"]

    def outbox(self, task: UUID) -> list[str]:
        """The types of the task's events that no broker has yet."""
        rows = self.rows(
            "SELECT event::jsonb->>'type' AS type FROM codex_kb.outbox WHERE event::jsonb->>'subject' = %(task)s::text "
            "ORDER BY created_at",
            task,
        )
        return [row["type"].removeprefix("ai.proompteng.codex.") for row in rows]

    def heard(self, broker: Sink, *tasks: UUID) -> bool:
        """Whether the broker has every event of these tasks, of all without any: one that it took late waits still."""
        known = {event.id for event in broker.events}
        rows = self.rows("SELECT event::jsonb->>'id' AS id, event::jsonb->>'subject' AS task FROM codex_kb.outbox")
        return all(row["id"] in known for row in rows if not tasks or row["task"] in map(str, tasks))


# Not a lock: whoever waits for one gives up after a second.
_GATE = """
CREATE TABLE public.gate AS SELECT true AS closed;
CREATE FUNCTION public.wait_at_gate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    WHILE EXISTS (SELECT FROM public.gate) LOOP PERFORM pg_sleep(0.01); END LOOP;
    RETURN NEW;
END $$;
CREATE TRIGGER gate BEFORE INSERT ON codex_kb.ideas FOR EACH ROW EXECUTE FUNCTION public.wait_at_gate();
"""
_NO_GATE = "DROP FUNCTION public.wait_at_gate CASCADE; DROP TABLE public.gate"
_WAITS = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"


@contextmanager
def in_flight(function: Function, dsn: str) -> Iterator[list[int]]:
    """codex-intake stores a task for as long as the block lasts; its status is in the list afterwards."""
    answers: list[int] = []

    def ask() -> None:
        answers.append(function.post("/v1/codex/tasks", b'{"prompt": "in flight"}', authorised()).status)

    asking = threading.Thread(target=ask)
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute(_GATE)
        try:
            asking.start()
            until(lambda: other.execute(_WAITS).fetchall())
            yield answers
        finally:
            other.execute("DELETE FROM public.gate")
            asking.join()
            other.execute(_NO_GATE)


@contextmanager
def _stage(postgres_server: str, migrated_template: str) -> Iterator[Stage]:
    with scratch_database(postgres_server, migrated_template) as dsn:
        database = Database(dsn, timeout=PATIENCE)
        yield Stage(dsn, database)
        database.close()


@pytest.fixture(scope="module")
def stage(postgres_server: str, migrated_template: str) -> Iterator[Stage]:
    """A database for the tests of one module."""
    with _stage(postgres_server, migrated_template) as stage:
        yield stage


@pytest.fixture(scope="module")
def openai_stage(postgres_server: str, migrated_template: str) -> Iterator[Stage]:
    """Another one, which begins with the model of a key: each database has one model in use."""
    with _stage(postgres_server, migrated_template) as stage:
        yield stage


@pytest.fixture
def announced(stage: Stage, broker: Sink) -> Iterator[None]:
    """What a test made intake publish arrives before the next test begins."""
    yield
    until(lambda: broker.refused or stage.heard(broker))
    stage.clear_outbox()


@pytest.fixture(scope="module")
def module_sink() -> Iterator[Sink]:
    with sink() as running:
        yield running


@pytest.fixture
def broker(module_sink: Sink) -> Iterator[Sink]:
    """The broker of the module's function, empty, and well again after each test."""
    module_sink.events.clear()
    yield module_sink
    module_sink.status, module_sink.delay, module_sink.refused = 202, 0, 0
    module_sink.open.set()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder for the module's function."""
    return tmp_path_factory.mktemp(re.sub(r"\W", "-", request.module.__name__))
