"""Embedding while the API fails at 30 % of its calls: everything is embedded in the end, once, and nothing waits."""

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import pytest
import redis

from shared.embeddings.coalescing import AT_ONCE as A_CALL
from shared.events.catalogue import TaskAccepted, announce
from shared.local.state import free_port
from shared.postgres.database import Database
from tests.chaos.embedding_api import FAULTS, FaultyApi, faulty_api
from tests.component.conftest import NO_PROXY, Stage, tick
from tests.component.functions import Function, Sink, running, settings, sink
from tests.contract.embedders.openai_server import KEY

# What one function works on at a time, with some to spare.
AT_ONCE = 40


@pytest.fixture
def stage(dsn: str) -> Iterator[Stage]:
    database = Database(dsn)
    yield Stage(dsn, database)
    database.close()


@pytest.fixture
def broker() -> Iterator[Sink]:
    with sink() as running_sink:
        yield running_sink


@pytest.fixture
def api() -> Iterator[FaultyApi]:
    with faulty_api() as running_api:
        yield running_api


def environment(stage: Stage, broker: Sink, api: FaultyApi, folder: Path, redis_url: str) -> dict[str, str]:
    return settings(stage.dsn, broker.url, folder, redis_url) | {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": api.base_url,
        "OPENAI_EMBEDDING_DIMENSION": "64",
        **NO_PROXY,
    }


def accept(stage: Stage, number: int) -> list[UUID]:
    return [stage.accept(f"Task {one}: repair what is broken") for one in range(number)]


def deliver(functions: Sequence[Function], tasks: Sequence[UUID]) -> None:
    """Every task to one of the functions."""

    def one(at: int) -> int:
        event = announce(TaskAccepted(tasks[at]), "codex-intake", None)
        return functions[at % len(functions)].deliver(event).status

    with ThreadPoolExecutor(AT_ONCE * len(functions)) as threads:
        assert set(threads.map(one, range(len(tasks)))) == {204}


def embedded(stage: Stage) -> int:
    (row,) = stage.rows("SELECT count(*) AS count FROM codex_kb.codex_task_memory_index WHERE NOT waits")
    return int(row["count"])


def prepared(stage: Stage) -> int:
    return len(stage.rows("SELECT FROM codex_kb.codex_tasks WHERE status = 'prepared'"))


def catch_up(functions: Sequence[Function], stage: Stage, number: int, seconds: float = 400) -> None:
    """Ticks, much more often than every minute, until every text has its vector."""
    deadline = time.monotonic() + seconds
    while embedded(stage) < number:
        assert time.monotonic() < deadline, f"{embedded(stage)} of {number} in {seconds} s"
        for function in functions:
            assert function.deliver(tick()).status == 204
        time.sleep(0.2)


def embed_2000(stage: Stage, broker: Sink, api: FaultyApi, folder: Path, redis_url: str) -> None:
    """2,000 tasks are accepted, by two functions; an API that was closed opens; then ticks do the rest."""
    redis.Redis.from_url(redis_url).flushall()
    env = environment(stage, broker, api, folder, redis_url)
    tasks = accept(stage, 2000)
    with ExitStack() as stack:
        functions = [stack.enter_context(running("embedder", env, folder / f"log-{n}")) for n in range(2)]
        deliver(functions, tasks)
        assert prepared(stage) == 2000, "no task waits for its vector"
        api.closed = False
        catch_up(functions, stage, 2000)
    assert len(api.embedded) == 2000
    assert set(api.embedded.values()) == {1}, "no text is embedded twice"
    assert api.limits
    # What one process hears the other cannot know before it was told.
    assert api.too_early(grace=0.5) == []


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_faults_at_30_percent_2000_texts_that_wait_are_embedded_once_with_the_fewest_calls(
    stage: Stage, broker: Sink, api: FaultyApi, redis_url: str, tmp_path: Path, seed: int
) -> None:
    api.seed, api.closed = seed, True
    embed_2000(stage, broker, api, tmp_path, redis_url)
    least = math.ceil(2000 / A_CALL)
    assert len(api.sizes) <= 1.2 * least, api.sizes
    # A call that fails is a fault of the API, and no client can do without it.
    assert len(api.started) <= 1.2 * (least + api.faults.total()), api.faults


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2])
def test_with_faults_at_30_percent_2000_texts_are_embedded_once_with_few_calls(
    stage: Stage, broker: Sink, api: FaultyApi, redis_url: str, tmp_path: Path, seed: int
) -> None:
    api.seed = seed
    embed_2000(stage, broker, api, tmp_path, redis_url)
    # Texts that come while the API is well do not wait until a call is full.
    least = math.ceil(2000 / 64) + api.faults.total()
    assert len(api.started) <= 1.2 * least, api.faults


@pytest.mark.timeout(900)
def test_a_redis_that_is_flushed_all_the_time_costs_nothing_but_time(
    stage: Stage, broker: Sink, api: FaultyApi, redis_url: str, tmp_path: Path
) -> None:
    env = environment(stage, broker, api, tmp_path, redis_url)
    tasks = accept(stage, 400)
    server: redis.Redis = redis.Redis.from_url(redis_url)
    with running("embedder", env, tmp_path / "log") as function, ThreadPoolExecutor(1) as threads:
        done = threads.submit(deliver, [function], tasks)
        while not done.done():
            server.flushall()
            time.sleep(0.1)
        done.result()
        for _ in range(5):
            function.deliver(tick())
            server.flushall()
        catch_up([function], stage, 400)
    assert set(api.embedded.values()) == {1}, "Postgres knows what is embedded"
    assert api.limits
    assert api.too_early() == []


@pytest.mark.timeout(900)
def test_without_redis_every_text_is_embedded_too(stage: Stage, broker: Sink, api: FaultyApi, tmp_path: Path) -> None:
    env = environment(stage, broker, api, tmp_path, f"redis://127.0.0.1:{free_port()}")
    tasks = accept(stage, 400)
    with running("embedder", env, tmp_path / "log") as function:
        deliver([function], tasks)
        catch_up([function], stage, 400)
    assert len(api.embedded) == 400
    assert api.too_early() == []
    assert prepared(stage) == 400
    assert KEY not in (tmp_path / "log").read_text()


def test_every_fault_has_its_turn(api: FaultyApi) -> None:
    for _ in range(20):
        api.respond({"input": ["text"], "dimensions": 64, "model": "model"})
    assert set(api.faults) == set(FAULTS)
    assert len(api.started) == 20
