"""The model is changed while questions are asked and tasks come: nothing fails, whenever the command is killed."""

import json
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from urllib3.exceptions import HTTPError

from shared.domain.errors import FacteurError
from shared.embeddings.coalescing import AT_ONCE
from shared.events.catalogue import TaskAccepted, announce
from shared.postgres import memory_models
from shared.postgres.database import Database
from shared.postgres.memory_indexes import PgMemoryIndexes
from tests.chaos.generated_api import GeneratedApi, fill, generated_api, question, vector
from tests.component.conftest import NO_PROXY, STRANGER_TOKEN, Stage, api_tokens, tick, until
from tests.component.functions import Function, Sink, authorised, running, settings, sink
from tests.contract.embedders.openai_server import KEY
from tests.integration.postgres.generated_memories import generate_rows, nearest

pytestmark = pytest.mark.timeout(900)

# Of these 6 in 7 are of one tenant: more than are looked at one by one.
ROWS, LIMIT = 12_000, 10
BEFORE, AFTER = "before:192", "after:160"
QUESTIONS = range(0, ROWS - 400, 997)

_VECTORS = "SELECT count(*) AS count FROM codex_kb.codex_task_memory_vectors WHERE model = %(model)s"
_INDEXES = "SELECT count(*) AS count FROM pg_index WHERE indexrelid::regclass::text LIKE '%%memory_near_%%'"
_BUILDING = "SELECT count(*) AS count FROM pg_stat_progress_create_index"
_WAITING_FOR = """
SELECT count(*) AS count FROM pg_stat_activity WHERE datname = current_database() AND wait_event = %(on)s
"""
_WITHOUT = """
SELECT count(*) AS count FROM codex_kb.codex_task_memory_index AS memory WHERE waits OR NOT EXISTS (
    SELECT FROM codex_kb.codex_task_memory_vectors AS made
    WHERE made.content_hash = memory.content_hash AND made.model = %(model)s AND embedding IS NOT NULL)
"""


# Some vectors are gone, and the others not before somebody lets go of the lock: else it is over before one can look.
_DROPPING = 4711
_HELD_DROP = f"""
CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT count(*) FROM codex_kb.codex_task_memory_vectors WHERE model = '{BEFORE}') < {ROWS} THEN
        PERFORM pg_advisory_xact_lock_shared({_DROPPING});
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER held BEFORE DELETE ON codex_kb.codex_task_memory_vectors FOR EACH STATEMENT EXECUTE FUNCTION held();
"""  # noqa: S608


@dataclass
class Asked:
    """One question and its answer."""

    status: int
    stranger: bool
    number: int
    model: str = ""
    degraded: bool = True
    tasks: frozenset[UUID] = frozenset()
    memories: frozenset[UUID] = frozenset()


@dataclass
class Scene:
    """Functions, the API that they share with the command, and what goes on meanwhile."""

    stage: Stage
    api: GeneratedApi
    memory: Function
    embedder: Function
    env: Mapping[str, str]
    folder: Path
    asking: UUID
    stranger: UUID
    asked: list[Asked] = field(default_factory=list)
    stored: list[UUID] = field(default_factory=list)
    broken: list[BaseException] = field(default_factory=list)

    def count(self, statement: str, **parameters: Any) -> int:
        return int(self.stage.rows(statement, **parameters)[0]["count"])

    def vectors(self, model: str) -> int:
        return self.count(_VECTORS, model=model)

    def state(self, model: str) -> str:
        rows = self.stage.rows("SELECT state FROM codex_kb.memory_models WHERE model = %(model)s", model=model)
        return str(rows[0]["state"]) if rows else ""

    def ask(self, dice: random.Random) -> None:
        number, stranger = dice.choice(QUESTIONS), dice.random() < 0.25
        task, token = (self.stranger, [STRANGER_TOKEN]) if stranger else (self.asking, [])
        body = json.dumps({"text": question(number), "limit": LIMIT}).encode()
        response = self.memory.post(f"/v1/codex/tasks/{task}/memory/query", body, authorised(*token))
        asked = Asked(response.status, stranger, number)
        if response.status == 200:
            document = json.loads(response.data)
            found = [one["provenance"] for one in document["results"]]
            asked.model, asked.degraded = document["model"], document["degraded"]
            asked.tasks = frozenset(UUID(one["taskId"]) for one in found)
            asked.memories = frozenset(UUID(one["memoryId"]) for one in found)
        self.asked.append(asked)

    def store(self, dice: random.Random) -> None:
        """A task comes, and its event until it is handled, as a broker brings it."""
        task = self.stage.accept(f"strange words of {dice.random()}")
        self.deliver(lambda: announce(TaskAccepted(task), "codex-intake", None))
        self.stored.append(task)
        time.sleep(0.3)

    def deliver(self, event: Callable[[], Any]) -> None:
        for _ in range(100):
            if self.embedder.deliver(event()).status == 204:
                return
            time.sleep(0.1)
        raise AssertionError("an event is not handled")

    def truth(self, model: str) -> dict[int, set[UUID]]:
        """The memories that an exact search finds for each question."""
        name, _, dimension = model.rpartition(":")
        asked = {number: vector(name, int(dimension), question(number)) for number in QUESTIONS}
        return {number: set(nearest(self.stage.dsn, model, one, "true", LIMIT)) for number, one in asked.items()}


@pytest.fixture
def scene(dsn: str, redis_url: str, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        api, broker = stack.enter_context(generated_api()), stack.enter_context(sink())
        env = environment(dsn, api, broker, tmp_path, redis_url)
        generate_rows(dsn, ROWS)
        fill(dsn, BEFORE, ROWS)
        assert PgMemoryIndexes(dsn, BEFORE).make()
        with psycopg.connect(dsn) as connection:
            connection.execute(_HELD_DROP.encode())
        database = Database(dsn)
        stack.callback(database.close)
        stage = Stage(dsn, database)
        functions = [
            stack.enter_context(running(name, env, tmp_path / f"{name}.log")) for name in ("memory-query", "embedder")
        ]
        tasks = stage.accept("who asks"), stage.accept("who else asks", tenant="elsewhere")
        yield Scene(stage, api, functions[0], functions[1], env, tmp_path, *tasks)


def environment(dsn: str, api: GeneratedApi, broker: Sink, folder: Path, redis_url: str) -> dict[str, str]:
    name, _, dimension = BEFORE.rpartition(":")
    return settings(dsn, broker.url, folder, redis_url) | {
        "FACTEUR_API_TOKENS": api_tokens(),
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": api.base_url,
        "OPENAI_EMBEDDING_MODEL": name,
        "OPENAI_EMBEDDING_DIMENSION": dimension,
        **NO_PROXY,
    }


class Life:
    """Questions are asked and tasks come, until the end of the block."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._over = threading.Event()
        works = [scene.ask, scene.ask, scene.store]
        self._threads = [threading.Thread(target=self._run, args=[work, n]) for n, work in enumerate(works)]

    def _run(self, work: Callable[[random.Random], None], seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311
        try:
            while not self._over.wait(0.1):
                work(dice)
        except (AssertionError, OSError, HTTPError, FacteurError) as error:
            self._scene.broken.append(error)

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def begin(scene: Scene) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "shared.cli.main", "memory", "migrate", "--yes", "--to", AFTER]
    with (scene.folder / "out").open("ab") as out:
        return subprocess.Popen(command, env={**scene.env}, stdout=out, stderr=out)


def said(scene: Scene) -> str:
    return (scene.folder / "out").read_text()


def killed_when(scene: Scene, moment: Callable[[], object], seconds: float = 240) -> None:
    """The command is begun, and killed at that moment; one that finds the dying one still there is begun again."""
    deadline = time.monotonic() + seconds
    process = begin(scene)
    while not moment():
        assert time.monotonic() < deadline, said(scene)
        if process.poll() == 1 and said(scene).endswith("another migration is running\n"):
            process = begin(scene)
        assert process.poll() is None, said(scene)
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()


def finished(scene: Scene) -> None:
    for _ in range(20):
        process = begin(scene)
        if process.wait(240) == 0:
            return
        assert said(scene).endswith("another migration is running\n"), said(scene)
        time.sleep(0.2)
    raise AssertionError(said(scene))


def test_a_model_is_changed_under_load_whenever_the_command_is_killed(scene: Scene) -> None:
    exact = {BEFORE: scene.truth(BEFORE)}
    with Life(scene):
        killed_when(scene, lambda: scene.vectors(AFTER) >= 3000)
        with psycopg.connect(scene.stage.dsn) as looking:
            # An index is not done before whoever looks at what was there before.
            looking.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            looking.execute("SELECT FROM codex_kb.memory_models")
            killed_when(scene, lambda: scene.count(_BUILDING))
        assert scene.state(BEFORE) == "active"
        with psycopg.connect(scene.stage.dsn, autocommit=True) as storing:
            storing.execute("SELECT pg_advisory_lock_shared(%s)", [memory_models._LOCK])
            killed_when(scene, lambda: scene.count(_WAITING_FOR, on="advisory"))
            assert scene.state(AFTER) == "filling"
        with psycopg.connect(scene.stage.dsn, autocommit=True) as dropping:
            dropping.execute("SELECT pg_advisory_lock(%s)", [_DROPPING])
            killed_when(scene, lambda: 0 < scene.vectors(BEFORE) < ROWS)
        assert scene.state(AFTER) == "active"
        finished(scene)
        # Life goes on until there is enough to judge, however quick all of it was.
        until(lambda: scene.broken or (len(scene.stored) > 20 and AFTER in {asked.model for asked in scene.asked}))
    assert not scene.broken
    assert {
        row["model"]: row["state"] for row in scene.stage.rows("SELECT model, state FROM codex_kb.memory_models")
    } == {AFTER: "active"}
    assert scene.vectors(BEFORE) == 0
    assert scene.count(_INDEXES) == 1
    exact[AFTER] = scene.truth(AFTER)
    check_answers(scene, exact)
    check_texts(scene)


def check_answers(scene: Scene, exact: Mapping[str, Mapping[int, set[UUID]]]) -> None:
    assert {asked.status for asked in scene.asked} == {200}
    assert not any(asked.degraded for asked in scene.asked)
    assert {asked.model for asked in scene.asked} == {BEFORE, AFTER}
    theirs = {
        UUID(str(row["id"]))
        for row in scene.stage.rows("SELECT id FROM codex_kb.codex_tasks WHERE tenant = 'elsewhere'")
    }
    for asked in scene.asked:
        assert len(asked.memories) == LIMIT
        assert asked.tasks <= theirs if asked.stranger else not asked.tasks & theirs
    recalls = [
        len(asked.memories & exact[asked.model][asked.number]) / LIMIT for asked in scene.asked if not asked.stranger
    ]
    assert statistics.mean(recalls) >= 0.98
    assert min(recalls) >= 0.8, "no vector is missed for a moment"


def check_texts(scene: Scene) -> None:
    """Every text has its vector in the end, and but for the call that was under way at a kill, was sent once."""
    for _ in range(50):
        scene.deliver(tick)
        if not scene.count(_WITHOUT, model=AFTER):
            break
        time.sleep(0.2)
    assert scene.count(_WITHOUT, model=AFTER) == 0
    assert len(scene.stored) > 20
    again = Counts({text: times for (model, text), times in scene.api.embedded.items() if model == AFTER})
    assert again.texts >= ROWS + len(scene.stored)
    assert again.repeated <= AT_ONCE


class Counts:
    """How often texts were sent."""

    def __init__(self, times: Mapping[str, int]) -> None:
        self.texts = len(times)
        self.repeated = sum(times.values()) - len(times)
