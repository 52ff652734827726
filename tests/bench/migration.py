"""`make bench-migration`: `facteur memory migrate` of 100,000 memories of 3,072 dimensions, while questions are asked.

A local API has vectors with neighbours for two models; memories, index and questions are generated and seeded. With
`--kill` the command is killed in the middle of its first step, and begun again. Questions are texts, asked of
memory-query as deployed, by `--connections` clients, before the command and all through it. Recall is against an exact
search with the model that the answer names. Load, API, functions and PostgreSQL share the machine's cores.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psycopg
from rich.console import Console
from rich.table import Table

from shared.local.servers.postgres import Postgres
from shared.local.servers.redis import Redis
from shared.postgres.memory_indexes import PgMemoryIndexes
from shared.postgres.migrations import migrate
from tests.chaos.generated_api import fill, question, vector
from tests.component.conftest import NO_PROXY
from tests.component.functions import Function, authorised, running, settings
from tests.integration.postgres.generated_memories import CLUSTERS, generate_rows, nearest

LIMIT = 10
_TASK = "SELECT id FROM codex_kb.codex_tasks WHERE tenant = 'default' LIMIT 1"
_VECTORS = "SELECT count(*) FROM codex_kb.codex_task_memory_vectors WHERE model = %s"
Truth = Mapping[str, Mapping[int, set[UUID]]]


@dataclass(frozen=True)
class Asked:
    seconds: float
    status: int
    number: int
    model: str = ""
    memories: frozenset[UUID] = frozenset()


@dataclass
class Bench:
    """Servers, and what was asked."""

    dsn: str
    env: Mapping[str, str]
    function: Function
    folder: Path
    rows: int
    numbers: Sequence[int]
    asked: list[Asked] = field(default_factory=list)

    def task(self) -> UUID:
        with psycopg.connect(self.dsn) as connection:
            (task,) = connection.execute(_TASK).fetchone() or ("",)
        return UUID(str(task))

    def truth(self, model: str, task: UUID) -> dict[int, set[UUID]]:
        name, _, dimension = model.rpartition(":")
        asked = {number: vector(name, int(dimension), question(number)) for number in self.numbers}
        other = f"n.task_id <> '{task}'"  # the task that asks gets nothing of its own
        return {number: set(nearest(self.dsn, model, one, other, LIMIT)) for number, one in asked.items()}

    def vectors(self, model: str) -> int:
        with psycopg.connect(self.dsn) as connection:
            (count,) = connection.execute(_VECTORS, [model]).fetchone() or (0,)
        return int(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=3072)
    parser.add_argument("--questions", type=int, default=10)
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=20, help="of the load before the command")
    parser.add_argument("--kill", action="store_true", help="kill the command once, and begin it again")
    options = parser.parse_args()
    console = Console(width=120)
    before, after = f"before:{options.dimension}", f"after:{options.dimension}"
    with stage(options, before) as bench:
        task = bench.task()
        truth = {before: bench.truth(before, task)}
        for number in bench.numbers:
            one(bench, task, number)
        with load(bench, task, options.connections):
            time.sleep(options.seconds)
        alone = bench.asked
        bench.asked = []
        with load(bench, task, options.connections):
            if options.kill:
                killed(bench, after)
            console.print(run(bench, after), markup=False)
        truth[after] = bench.truth(after, task)
        console.print(table(alone, bench.asked, truth))


@contextmanager
def stage(options: argparse.Namespace, before: str) -> Iterator[Bench]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        folder.chmod(0o711)  # run by root, PostgreSQL is another user
        postgres, redis = Postgres(folder / "postgres"), Redis(folder / "redis")
        stack.enter_context(postgres)
        stack.enter_context(redis)
        api = subprocess.Popen([sys.executable, "-m", "tests.chaos.generated_api"], stdout=subprocess.PIPE, text=True)
        stack.callback(api.wait)
        stack.callback(api.kill)
        assert api.stdout
        stack.callback(api.stdout.close)
        # As much as the graph needs, as an operator would grant it.
        dsn = f"{postgres.url}?options=-c%20maintenance_work_mem%3D{max(64, options.rows // 1000)}MB"
        migrate(dsn)
        generate_rows(dsn, options.rows)
        fill(dsn, before, options.rows)
        PgMemoryIndexes(dsn, before).make()
        env = settings(dsn, "http://127.0.0.1:1", folder, redis.url) | {
            "OPENAI_API_KEY": "sk-of-the-bench",
            "OPENAI_BASE_URL": api.stdout.readline().strip(),
            "OPENAI_EMBEDDING_MODEL": before.rpartition(":")[0],
            "OPENAI_EMBEDDING_DIMENSION": str(options.dimension),
            "FACTEUR_LOG_LEVEL": "WARNING",
            **NO_PROXY,
        }
        numbers = range(0, options.rows - CLUSTERS, (options.rows - CLUSTERS) // options.questions)
        function = stack.enter_context(running("memory-query", env, folder / "log"))
        yield Bench(dsn, env, function, folder, options.rows, numbers)


@contextmanager
def load(bench: Bench, task: UUID, connections: int) -> Iterator[None]:
    """Questions one after the other, by each of the connections, until the end of the block."""
    over = threading.Event()

    def ask(place: int) -> None:
        while not over.is_set():
            place += 1
            bench.asked.append(one(bench, task, bench.numbers[place % len(bench.numbers)]))

    threads = [threading.Thread(target=ask, args=[place]) for place in range(connections)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def one(bench: Bench, task: UUID, number: int) -> Asked:
    body = json.dumps({"text": question(number), "limit": LIMIT}).encode()
    began = time.perf_counter()
    response = bench.function.post(f"/v1/codex/tasks/{task}/memory/query", body, authorised())
    seconds = time.perf_counter() - began
    if response.status != 200:
        return Asked(seconds, response.status, number)
    document = json.loads(response.data)
    found = frozenset(UUID(result["provenance"]["memoryId"]) for result in document["results"])
    # An answer by words alone is a failure here.
    return Asked(seconds, 0 if document["degraded"] else 200, number, document["model"], found)


def begin(bench: Bench, to: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "shared.cli.main", "memory", "migrate", "--yes", "--to", to]
    env = {**os.environ, **bench.env}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def killed(bench: Bench, to: str) -> None:
    with begin(bench, to) as process:
        while bench.vectors(to) < bench.rows // 3:
            time.sleep(0.1)
        process.kill()


def run(bench: Bench, to: str) -> str:
    """What the command says."""
    began = time.perf_counter()
    with begin(bench, to) as process:
        said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(said)
    return f"{said}{time.perf_counter() - began:.0f} s in all"


def table(alone: Sequence[Asked], during: Sequence[Asked], truth: Truth) -> Table:
    shown = Table(title="POST …/memory/query by text")
    for heading in ("", "questions", "failed", "p50 ms", "p95 ms", "recall@10 min", "mean"):
        shown.add_column(heading, justify="right")
    for name, asked in {"before": alone, "during": during}.items():
        quantiles = statistics.quantiles([one.seconds for one in asked], n=100)
        answered = [one for one in asked if one.status == 200]
        recalls = [len(one.memories & truth[one.model][one.number]) / LIMIT for one in answered]
        shown.add_row(
            name,
            f"{len(asked):,}",
            str(len(asked) - len(answered)),
            *(f"{1000 * quantiles[place]:.0f}" for place in (49, 94)),
            f"{min(recalls):.2f}",
            f"{statistics.mean(recalls):.3f}",
        )
    return shown


if __name__ == "__main__":
    main()
