"""`make bench-callback`: what containers report a second, beside pgbench with the same inserts, and what the SDK costs.

Containers report progress without a pause, one request at a time each, over kept connections, to callback as deployed:
token, validation, redaction, commit. Beside it, in the same rounds, pgbench inserts the
same rows under the same lock. The load and the servers share the machine's cores.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psutil
from rich.console import Console
from rich.table import Table

from shared.domain.task_token import mint_task_token
from shared.local.servers.postgres import Postgres
from shared.postgres.database import Database
from shared.postgres.migrations import migrate
from tests.bench.intake import ingress, processes
from tests.bench.report_ceiling import transactions
from tests.component.conftest import Stage
from tests.component.functions import TOKEN_SECRET, Function, running, settings

SDK_EVENTS = 500


@dataclass
class Figures:
    """What was measured with one number of containers and one size of batches, over all rounds, in events."""

    pgbench: list[float] = field(default_factory=list)
    callback: list[float] = field(default_factory=list)
    taken: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    database_cpu: list[float] = field(default_factory=list)
    rss: float = 0


@dataclass(frozen=True)
class Bench:
    """The servers, and where tasks come from."""

    server: Postgres
    stage: Stage
    function: Function
    folder: Path

    def launch(self, number: int) -> list[UUID]:
        return [self.stage.launch()[0] for _ in range(number)]

    def cpu(self) -> tuple[float, float]:
        """Seconds of processor time so far, of callback and of PostgreSQL."""
        assert self.server._process is not None
        leader = psutil.Process(self.server._process.pid)
        ended = sum(leader.cpu_times()[2:4])
        database = sum(sum(one.cpu_times()[:2]) for one in [leader, *leader.children(recursive=True)])
        return sum(sum(one.cpu_times()[:2]) for one in processes(self.function)), database + ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--containers", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 50])
    options = parser.parse_args()
    console = Console(width=120)
    figures = {(number, batch): Figures() for batch in options.batches for number in options.containers}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name, console.status("starting servers…") as status:
        folder = Path(name)
        folder.chmod(0o711)  # run by root, PostgreSQL is another user
        with Postgres(folder / "postgres") as server, ingress() as sink:
            migrate(server.url)
            database = Database(server.url)
            env = settings(server.url, sink, folder) | {"FACTEUR_LOG_LEVEL": "WARNING"}
            with running("callback", env, folder / "log") as function:
                bench = Bench(server, Stage(server.url, database), function, folder)
                load(bench, bench.launch(8), 1, 1)
                for turn in range(options.rounds):
                    for (number, batch), found in figures.items():
                        status.update(f"round {turn + 1} of {options.rounds}: {number} containers, batches of {batch}…")
                        measure(bench, number, batch, options.seconds, found)
                status.update("the SDK…")
                sdk = sdk_overhead(bench)
            database.close()
    console.print(table(figures))
    console.print(sdk_table(sdk))


def measure(bench: Bench, number: int, batch: int, seconds: int, found: Figures) -> None:
    found.pgbench.append(batch * transactions(bench.server.url, bench.launch(number), batch, seconds, bench.folder))
    tasks = bench.launch(number)
    before = bench.cpu()
    taken, rate = load(bench, tasks, batch, seconds)
    after = bench.cpu()
    events = batch * len(taken)
    found.callback.append(batch * rate)
    found.taken += taken
    found.cpu.append((after[0] - before[0]) / events)
    found.database_cpu.append((after[1] - before[1]) / events)
    found.rss = max(found.rss, sum(process.memory_info().rss for process in processes(bench.function)))


def load(bench: Bench, tasks: Sequence[UUID], batch: int, seconds: int) -> tuple[list[float], float]:
    """How long each request took, and how many were answered in a second."""
    command = [sys.executable, "-m", "tests.bench.report_load", bench.function.url, str(batch), str(seconds)]
    done = subprocess.run(command, input=json.dumps(tokens(tasks)), capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    if said["failed"]:
        raise SystemExit(f"{said['failed']} requests were not answered with 2xx")
    return said["taken"], len(said["taken"]) / said["seconds"]


def tokens(tasks: Sequence[UUID]) -> list[tuple[str, str]]:
    return [(str(task), mint_task_token(TOKEN_SECRET, task, 1)) for task in tasks]


def sdk_overhead(bench: Bench) -> dict[str, dict[str, list[float] | float]]:
    """Seconds of each event and CPU seconds of all, by the way they were reported."""
    orders = {"url": bench.function.url, "folder": str(bench.folder), "tasks": tokens(bench.launch(3))}
    command = [sys.executable, "-m", "tests.bench.sdk", str(SDK_EVENTS)]
    done = subprocess.run(command, input=json.dumps(orders), stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, dict[str, list[float] | float]] = json.loads(done.stdout)
    return measured


def table(figures: dict[tuple[int, int], Figures]) -> Table:
    rounds = len(next(iter(figures.values())).callback)
    shown = Table(title=f"POST …/events, medians of {rounds} rounds; rates and CPU are of events, times of requests")
    headings = ("containers", "batch", "pgbench/s", "callback/s", "ratio", "p50 ms", "p99 ms")
    for heading in (*headings, "CPU µs", "PostgreSQL CPU µs", "RSS MB"):
        shown.add_column(heading, justify="right")
    for (number, batch), found in figures.items():
        quantiles = statistics.quantiles(found.taken, n=100)
        ratios = [ours / theirs for ours, theirs in zip(found.callback, found.pgbench, strict=True)]
        shown.add_row(
            str(number),
            str(batch),
            *(f"{statistics.median(rate):,.0f}" for rate in (found.pgbench, found.callback)),
            f"{statistics.median(ratios):.2f}",
            *(f"{1000 * quantiles[place]:.1f}" for place in (49, 98)),
            *(f"{1e6 * statistics.median(cpu):,.0f}" for cpu in (found.cpu, found.database_cpu)),
            f"{found.rss / 1e6:.0f}",
        )
    return shown


def sdk_table(measured: dict[str, dict[str, list[float] | float]]) -> Table:
    shown = Table(title=f"What one event costs an agent, {SDK_EVENTS} events one after the other")
    for heading in ("", "p50 µs", "p99 µs", "CPU µs"):
        shown.add_column(heading, justify="right")
    for name, found in measured.items():
        each, cpu = found["each"], found["cpu"]
        assert isinstance(each, list) and isinstance(cpu, float)
        quantiles = statistics.quantiles(each, n=100)
        figures = (quantiles[49], quantiles[98], cpu / len(each))
        shown.add_row(name, *(f"{1e6 * value:,.0f}" for value in figures))
    return shown


if __name__ == "__main__":
    main()
