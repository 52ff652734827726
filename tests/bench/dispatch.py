"""`make bench-dispatch`: launches on a real API server, beside the bare calls in the same order.

Ours: events posted to the deployed dispatcher, each until its answer; by then the Job is there and let go.
Bare: a loop of the Kubernetes client in a process of its own. Both take turns, and each figure is the
median of the rounds, after some launches that are not counted. CPU and memory are those of the dispatcher's process.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from uuid import UUID, uuid4

import psutil
from rich.console import Console
from rich.table import Table

from shared.domain.ids import run_id
from shared.events import codec
from shared.events.catalogue import TaskAccepted, TaskPrepared, announce
from shared.local.servers.postgres import Postgres
from shared.local.state import free_port
from shared.postgres.database import Database
from shared.postgres.migrations import migrate
from shared.postgres.tasks import PgTasks
from tests.cluster.api import Api
from tests.cluster.stage import ClusterStage, cluster_stage
from tests.component.functions import Function, running, settings
from tests.integration.postgres.conftest import request

AT_ONCE = (1, 8, 32)


@dataclass(frozen=True)
class Round:
    """Seconds of each launch and of all of them, and the CPU seconds of each."""

    each: Sequence[float]
    all: float
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.each) / self.all

    def quantile(self, part: float) -> float:
        return sorted(self.each)[min(len(self.each) - 1, int(len(self.each) * part))] * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=256, help="launches in a round")
    parser.add_argument("--at-once", type=int, nargs="+", default=AT_ONCE, help="how many at a time")
    parser.add_argument("--rounds", type=int, default=3, help="rounds for each number at once")
    options = parser.parse_args()
    console = Console(width=120)
    api = Api(os.environ["FACTEUR_TEST_API_URL"], Path(os.environ["FACTEUR_TEST_CREDENTIALS"]))
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)  # run by root, PostgreSQL is another user
        with cluster_stage(api, folder / "credentials") as stage, bench(folder, stage) as (function, database):
            table = _table(console, stage, function, database, options)
            memory = psutil.Process(function.process.pid)
            rss = sum(each.memory_info().rss for each in [memory, *memory.children(recursive=True)])
    console.print(table)
    console.print(f"The dispatcher's processes hold {rss / 2**20:.0f} MiB.")


@contextmanager
def bench(folder: Path, stage: ClusterStage) -> Iterator[tuple[Function, Database]]:
    """A dispatcher without caps, its database and its broker."""
    server = Postgres(folder / "postgres")
    port = free_port()
    broker = subprocess.Popen([sys.executable, "-m", "tests.bench.ingress", str(port)])
    with server, broker:
        migrate(server.url)
        database = Database(server.url)
        env = settings(server.url, f"http://127.0.0.1:{port}", folder) | stage.settings()
        env |= {
            "FACTEUR_JOBS_DIR": "",
            "FACTEUR_RUNNER_COMMAND": "",
            "FACTEUR_MAX_RUNS": "0",
            "FACTEUR_MAX_RUNS_PER_BRANCH": "0",
            "FACTEUR_LOG_LEVEL": "WARNING",
        }
        env["FACTEUR_POLICY_FILE"] = str(_policy(folder))
        with running("dispatcher", env, folder / "log") as function:
            ours(function, database, max(AT_ONCE), 4 * max(AT_ONCE))
            yield function, database
        database.close()
        broker.terminate()
    server.erase()


def _policy(folder: Path) -> Path:
    path = folder / "policy.yaml"
    path.write_text('rules: [{name: all, callers: ["*"], modes: ["*"], images: ["*"], serviceAccounts: ["*"]}]\n')
    return path


def _table(
    console: Console, stage: ClusterStage, function: Function, database: Database, options: argparse.Namespace
) -> Table:
    table = Table(title=f"Launches, medians of {options.rounds} rounds of {options.tasks}")
    for heading in ("at once", "", "p50 ms", "p99 ms", "launches/s", "ratio", "CPU ms a launch"):
        table.add_column(heading, justify="right")
    for at_once in options.at_once:
        rounds: dict[str, list[Round]] = {"bare": [], "ours": []}
        for turn in range(options.rounds):
            console.print(f"{at_once} at once, round {turn + 1} of {options.rounds}", style="dim")
            rounds["bare"].append(bare(stage, at_once, options.tasks))
            rounds["ours"].append(ours(function, database, at_once, options.tasks))
        rates = {name: statistics.median(one.rate for one in each) for name, each in rounds.items()}
        for name, each in rounds.items():
            table.add_row(
                str(at_once) if name == "bare" else "",
                name,
                *(f"{statistics.median(one.quantile(part) for one in each):.1f}" for part in (0.5, 0.99)),
                f"{rates[name]:.0f}",
                "" if name == "bare" else f"{rates['ours'] / rates['bare']:.2f}",
                f"{1000 * statistics.median(one.cpu for one in each):.1f}",
            )
    return table


def bare(stage: ClusterStage, at_once: int, number: int) -> Round:
    arguments = [stage.api.url, str(stage.credentials), stage.jobs, str(at_once), str(number)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.bare_launch", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return Round(**json.loads(done.stdout))


def ours(function: Function, database: Database, at_once: int, number: int) -> Round:
    events = [codec.encode(announce(TaskPrepared(_accept(database)), "embedder", None)) for _ in range(number)]
    shares = [events[start::at_once] for start in range(at_once)]
    ready = threading.Barrier(at_once)

    def worker(share: Sequence[tuple[Mapping[str, str], bytes]]) -> list[float]:
        connection = http.client.HTTPConnection(function.url.removeprefix("http://"), timeout=60)
        ready.wait()
        return [_launch(connection, *event) for event in share]

    before = _cpu(function)
    with ThreadPoolExecutor(at_once) as pool:
        began = time.perf_counter()
        each = list(chain.from_iterable(pool.map(worker, shares)))
        taken = time.perf_counter() - began
    return Round(each, taken, (_cpu(function) - before) / number)


def _launch(connection: http.client.HTTPConnection, headers: Mapping[str, str], body: bytes) -> float:
    began = time.perf_counter()
    connection.request("POST", "/", body, dict(headers))
    answer = connection.getresponse()
    answer.read()
    if answer.status != 204:
        raise SystemExit(f"a launch was answered {answer.status}")
    return time.perf_counter() - began


def _accept(database: Database) -> UUID:
    delivery = str(uuid4())
    event = announce(TaskAccepted(run_id(delivery)), "codex-intake", None)
    PgTasks(database).accept(request(delivery), event, None)
    database.do("DELETE FROM codex_kb.outbox", {})
    return run_id(delivery)


def _cpu(function: Function) -> float:
    process = psutil.Process(function.process.pid)
    return sum(sum(each.cpu_times()[:2]) for each in [process, *process.children(recursive=True)])


if __name__ == "__main__":
    main()
