"""`make bench-intake`: deliveries a second through `POST /codex/tasks`, beside what could be had at most.

Unique protobuf deliveries with everything real: token, validation, idempotency, one commit each (or one
for several that come together; `synchronous_commit` is on), outbox, publication. Beside it, in the same
rounds, an empty Functions Framework handler under the same server, and intake's own SQL sent by pgbench.
All of them share the machine's cores with the load, so the honest limit of a server that does both, one
after the other, is L = 1 / (1/framework + 1/database). Goal: at least 0.7 L with 32 connections.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from shared.local.servers.postgres import Postgres
from shared.local.state import free_port
from shared.postgres.migrations import migrate
from tests.bench import ceiling
from tests.component.functions import Function, await_health, end, settings, start

GOAL = 0.7


@dataclass
class Figures:
    """What was measured with one number of connections, over all rounds."""

    framework: list[float] = field(default_factory=list)
    database: list[float] = field(default_factory=list)
    intake: list[float] = field(default_factory=list)
    taken: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    rss: float = 0

    @property
    def ratios(self) -> list[float]:
        """Intake's share of the limit in each round."""
        rounds = zip(self.framework, self.database, self.intake, strict=True)
        return [intake * (1 / framework + 1 / database) for framework, database, intake in rounds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32])
    options = parser.parse_args()
    console = Console(width=120)
    figures = {connections: Figures() for connections in options.connections}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, console.status("starting servers…") as status:
        Path(folder).chmod(0o711)  # run by root, PostgreSQL is another user
        with Postgres(Path(folder) / "postgres") as server, ingress() as sink:
            migrate(server.url)
            for number in range(options.rounds):
                for connections, found in figures.items():
                    status.update(f"round {number + 1} of {options.rounds}, {connections} connections…")
                    measure(server.url, sink, Path(folder), connections, options.seconds, found)
    console.print(table(figures))


@contextmanager
def ingress() -> Iterator[str]:
    """The URL of a broker's ingress that costs next to nothing."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.ingress", str(port)])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def measure(dsn: str, sink: str, folder: Path, connections: int, seconds: int, found: Figures) -> None:
    with ceiling.framework() as url:
        load(url, connections, 1)
        found.framework.append(load(url, connections, seconds).rate)
    found.database.append(ceiling.database(dsn, connections, seconds, folder))
    intake = start("codex-intake", settings(dsn, sink, folder), folder / "intake.log")
    try:
        await_health(intake)
        load(f"{intake.url}/codex/tasks", connections, 1)
        before = cpu(intake)
        loaded = load(f"{intake.url}/codex/tasks", connections, seconds)
        found.cpu.append((cpu(intake) - before) / len(loaded.taken))
        found.intake.append(loaded.rate)
        found.taken += loaded.taken
        found.rss = max(process.memory_info().rss for process in processes(intake))
    finally:
        end(intake)


@dataclass
class Loaded:
    """The answers of one load: how long each took, and how many came in a second."""

    taken: list[float]
    rate: float


def load(url: str, connections: int, seconds: int) -> Loaded:
    command = [sys.executable, "-m", "tests.bench.load", url, str(connections), str(seconds)]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    if said["failed"]:
        raise SystemExit(f"{said['failed']} requests were not answered with 2xx")
    return Loaded(said["taken"], len(said["taken"]) / said["seconds"])


def processes(function: Function) -> list[psutil.Process]:
    server = psutil.Process(function.process.pid)
    return [server, *server.children(recursive=True)]


def cpu(function: Function) -> float:
    """Seconds of processor time so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes(function))


def table(figures: dict[int, Figures]) -> Table:
    rounds = len(next(iter(figures.values())).intake)
    shown = Table(title=f"POST /codex/tasks, medians of {rounds} rounds (goal: {GOAL} L with 32 connections)")
    headings = ("conns", "framework/s", "database/s", "L/s", "intake/s", "of L", "p50 ms", "p99 ms", "CPU µs", "RSS MB")
    for heading in headings:
        shown.add_column(heading, justify="right")
    for connections, found in figures.items():
        framework, database = statistics.median(found.framework), statistics.median(found.database)
        quantiles = statistics.quantiles(found.taken, n=100)
        shown.add_row(
            str(connections),
            *(f"{rate:,.0f}" for rate in (framework, database, 1 / (1 / framework + 1 / database))),
            f"{statistics.median(found.intake):,.0f}",
            f"{statistics.median(found.ratios):.2f}",
            *(f"{1000 * quantiles[place]:.1f}" for place in (49, 98)),
            f"{1e6 * statistics.median(found.cpu):,.0f}",
            f"{found.rss / 1e6:.0f}",
        )
    return shown


if __name__ == "__main__":
    main()
