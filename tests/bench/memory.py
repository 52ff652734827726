"""`make bench-memory`: search of 100,000 memories of 3,072 dimensions over HTTP, beside the same SQL by pgbench.

The memories are generated, clustered and seeded; `--rows 1000000` takes more. The index is made as embedder makes it.
Questions are vectors that are no row's, asked of memory-query as deployed, with filters that leave a share of the
rows; the far ones take away the clusters that a question is near to. Recall@10 is against an exact search of all of
them, and counts what is as near as the tenth. Goal: at most twice what pgbench needs for the same SQL with as many
connections. The load, the function and PostgreSQL share the machine's cores.
"""

import argparse
import http.client
import json
import re
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
from rich.console import Console
from rich.table import Table

from shared.domain.memory_index import Filters, Question
from shared.local.servers.postgres import Postgres, binaries
from shared.postgres import memory_candidates, memory_search
from shared.postgres.memory_indexes import PgMemoryIndexes
from shared.postgres.migrations import migrate
from tests.bench.intake import processes
from tests.component.functions import Function, authorised, running, settings
from tests.integration.postgres.generated_memories import BUT, CLASSES, far, generate, question, recall

LIMIT = 10
# Tag of a filter, "" for none, or the kind of one that is far, and the share of the rows that it leaves.
SHARES = {"": "100 %", "half": "50 %", "tenth": "10 %", "hundredth": "1 %", "thousandth": "0.1 %"}
SHARES |= {BUT: "90 % far"} | {tag: f"{100 // classes} % far" for tag, classes in CLASSES.items()}
_SIZE = """
SELECT pg_size_pretty(sum(pg_relation_size(indexrelid))) FROM pg_index
WHERE indexrelid::regclass::text LIKE '%idx_codex_task_memory_near_%'
"""
_TASK = "SELECT id FROM codex_kb.codex_tasks WHERE tenant = 'default' LIMIT 1"


@dataclass(frozen=True)
class Bench:
    """The servers, and what is asked of them."""

    dsn: str
    model: str
    function: Function
    task: UUID
    numbers: Sequence[int]
    vectors: Sequence[Sequence[float]]
    folder: Path
    seconds: int

    @property
    def path(self) -> str:
        return f"/v1/codex/tasks/{self.task}/memory/query"

    def tags(self, kind: str, place: int) -> list[str]:
        """What question `place` is filtered by."""
        if kind in (BUT, *CLASSES):
            return [far(kind, self.numbers[place])]
        return [kind] if kind else []

    def body(self, kind: str, place: int) -> bytes:
        filters = {"tags": self.tags(kind, place)}
        return json.dumps({"vector": self.vectors[place], "limit": LIMIT, "filters": filters}).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=3072)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--questions", type=int, default=10)
    options = parser.parse_args()
    console = Console(width=120)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name, console.status("starting servers…") as status:
        folder = Path(name)
        folder.chmod(0o711)  # run by root, PostgreSQL is another user
        with Postgres(folder / "postgres") as server:
            migrate(server.url)
            status.update(f"generating {options.rows:,} rows…")
            made = prepare(server.url, options.rows, options.dimension)
            console.print(made)
            env = settings(server.url, "http://127.0.0.1:1", folder) | {
                "OPENAI_API_KEY": "not-needed-for-vectors",
                "OPENAI_EMBEDDING_MODEL": "generated",
                "OPENAI_EMBEDDING_DIMENSION": str(options.dimension),
                "FACTEUR_LOG_LEVEL": "WARNING",
            }
            with running("memory-query", env, folder / "log") as function:
                status.update("asking…")
                bench = stage(server.url, function, folder, options)
                console.print(table(bench, options.connections))
                rss = sum(process.memory_info().rss for process in processes(function))
                console.print(f"RSS of memory-query: {rss / 1e6:.0f} MB")


def prepare(dsn: str, rows: int, dimension: int) -> str:
    """What it took to fill the memory index, and to make the index of its vectors."""
    began = time.perf_counter()
    model = generate(dsn, rows, dimension)
    generated = time.perf_counter()
    # As much as the graph needs, as an operator would grant it.
    PgMemoryIndexes(f"{dsn}?options=-c%20maintenance_work_mem%3D{max(64, rows // 500)}MB", model).make()
    made = time.perf_counter()
    with psycopg.connect(dsn) as connection:
        (size,) = connection.execute(_SIZE).fetchone() or ("none",)
    return (
        f"{rows:,} rows of {dimension:,} dimensions generated in {generated - began:.0f} s; "
        f"index made in {made - generated:.0f} s, {size}"
    )


def stage(dsn: str, function: Function, folder: Path, options: argparse.Namespace) -> Bench:
    dimension = options.dimension
    step = (options.rows - 400) // options.questions
    numbers = [number * step for number in range(options.questions)]
    vectors = [question(dsn, number, dimension) for number in numbers]
    with psycopg.connect(dsn) as connection:
        (task,) = connection.execute(_TASK).fetchone() or (uuid4(),)
    return Bench(dsn, f"generated:{dimension}", function, task, numbers, vectors, folder, options.seconds)


def recalled(bench: Bench, kind: str) -> float:
    """The share of the ten that an exact search finds."""
    shares = []
    for place, vector in enumerate(bench.vectors):
        # Among a million an exact search takes longer than the function keeps a connection.
        with closing(http.client.HTTPConnection(urlsplit(bench.function.url).netloc)) as connection:
            answer = _asked(connection, bench, bench.body(kind, place))
        found = [UUID(one["provenance"]["memoryId"]) for one in json.loads(answer)["results"]]
        # The task that asks gets nothing of its own.
        condition = f"n.task_id <> '{bench.task}' AND n.tags @> '{{{','.join(bench.tags(kind, place))}}}'"
        _, share = recall(bench.dsn, bench.model, vector, condition, found, LIMIT)
        shares.append(share)
    return statistics.mean(shares)


def _asked(connection: http.client.HTTPConnection, bench: Bench, body: bytes) -> bytes:
    """The answer, however long it takes: where a million rows are looked at, that is seconds."""
    connection.request("POST", bench.path, body, authorised())
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise SystemExit(f"a question was answered {response.status}")
    return answer


def load(bench: Bench, connections: int, kind: str) -> list[float]:
    """Seconds that each question took."""
    bodies = [bench.body(kind, place) for place in range(len(bench.vectors))]
    taken: list[float] = []
    until = time.perf_counter() + bench.seconds

    def ask(first: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(bench.function.url).netloc)
        number = first
        # Of less than two there are no quantiles.
        while time.perf_counter() < until or number < first + 2:
            began = time.perf_counter()
            _asked(connection, bench, bodies[number % len(bodies)])
            taken.append(time.perf_counter() - began)
            number += 1
        connection.close()

    threads = [threading.Thread(target=ask, args=[number]) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def pgbench(bench: Bench, connections: int, kind: str) -> float:
    """Seconds that the same SQL takes on average."""
    scripts = []
    with psycopg.connect(bench.dsn) as connection:
        cursor = psycopg.ClientCursor(connection)
        for number, vector in enumerate(bench.vectors):
            filters = Filters("default", uuid4(), tags=bench.tags(kind, number))
            asked = Question(bench.model, None, vector)
            parameters = memory_search._parameters(asked, filters, LIMIT)
            parameters |= {"exact": memory_candidates.EXACT, "vector": json.dumps(vector)}  # a script is text
            statement = memory_search._SEARCH.replace("bit(3072)", f"bit({len(vector)})")
            sent = [
                cursor.mogrify(memory_search._SETTINGS.encode(), {"candidates": parameters["candidates"]}),
                cursor.mogrify(statement.encode(), parameters),
            ]
            script = bench.folder / f"search-{number}.sql"
            script.write_text(" \\; ".join(["BEGIN", *sent, "COMMIT"]) + ";\n")
            scripts.append(f"--file={script}")
    options = ["--no-vacuum", f"--client={connections}", f"--jobs={min(connections, 2)}", f"--time={bench.seconds}"]
    command = [str(binaries() / "pgbench"), *options, *scripts, bench.dsn]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"^latency average = ([0-9.]+) ms", done.stdout, re.MULTILINE)
    if found is None or "failed transactions: 0 " not in done.stdout:
        raise SystemExit(f"pgbench failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return float(found[1]) / 1000


def table(bench: Bench, connections: Sequence[int]) -> Table:
    shown = Table(title="POST …/memory/query by vector (goal: at most twice pgbench)")
    for heading in ("rows left", "conns", "p50 ms", "p95 ms", "p99 ms", "mean ms", "pgbench ms", "ratio", "recall@10"):
        shown.add_column(heading, justify="right")
    for kind, share in SHARES.items():
        found = recalled(bench, kind)
        for number in connections:
            load(bench, number, kind)
            alone, taken = pgbench(bench, number, kind), load(bench, number, kind)
            quantiles, mean = statistics.quantiles(taken, n=100), statistics.mean(taken)
            shown.add_row(
                share,
                str(number),
                *(f"{1000 * quantiles[place]:.1f}" for place in (49, 94, 98)),
                *(f"{1000 * seconds:.1f}" for seconds in (mean, alone)),
                f"{mean / alone:.2f}",
                f"{found:.3f}",
            )
    return shown


if __name__ == "__main__":
    main()
