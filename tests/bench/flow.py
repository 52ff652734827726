"""`make bench-flow`: a no-op task through all six functions, on a fresh local twin.

Latency: one task at a time, from accepted to finished, by the database's clock. Throughput: many at
once, from the first POST to the last task finished. The yardstick beside it is the same number of
bare no-op child processes, started as many at once as the twin's node does.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import urllib3
from rich.console import Console
from rich.table import Table

from shared.local.node import AT_ONCE
from shared.local.twin import Twin, TwinInfo, TwinSettings

NO_OP = (sys.executable, "-m", "tests.bench.no_op")
BARE = (sys.executable, "-c", "import shared.runner")
_SECONDS = "SELECT extract(epoch FROM finished_at - created_at)::float FROM codex_kb.codex_tasks ORDER BY created_at"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--single", type=int, default=30, help="tasks one at a time")
    parser.add_argument("--many", type=int, default=200, help="tasks at once")
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, console.status("starting the twin…") as status:
        Path(folder).chmod(0o711)  # run by root, PostgreSQL is another user
        settings = TwinSettings(Path(folder) / "state", runner_command=NO_OP)
        with Twin(settings, said=console.print) as info:
            status.update("one at a time…")
            one_by_one(info, options.single)
            alone = durations(info)
            status.update("many at once…")
            taken = timed(lambda: at_once(info, options.many))
        status.update("bare child processes…")
        bare = timed(lambda: bare_processes(options.many))
    console.print(table(alone, options.many, taken, bare))


def one_by_one(info: TwinInfo, number: int) -> None:
    for done in range(number):
        submit(info)
        await_finished(info, done + 1)


def at_once(info: TwinInfo, number: int) -> None:
    already = len(durations(info))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: submit(info), range(number)))
    await_finished(info, already + number)


def submit(info: TwinInfo) -> None:
    headers = {"Authorization": f"Bearer {info.api_token}"}
    body = json.dumps({"prompt": "do nothing"})
    answer = HTTP.request("POST", f"{info.url}/v1/codex/tasks", body=body, headers=headers)
    if answer.status != 202:
        raise SystemExit(f"a task was answered {answer.status}")


def await_finished(info: TwinInfo, number: int, seconds: float = 300) -> None:
    give_up = time.monotonic() + seconds
    with psycopg.connect(info.dsn, autocommit=True) as connection:
        count = "SELECT count(*) FROM codex_kb.codex_tasks WHERE status = 'succeeded'"
        while (found := connection.execute(count).fetchone()) is None or found[0] < number:
            if time.monotonic() > give_up:
                raise SystemExit(f"only {found and found[0]} of {number} tasks have succeeded")
            time.sleep(0.02)


def durations(info: TwinInfo) -> list[float]:
    with psycopg.connect(info.dsn) as connection:
        return [row[0] for row in connection.execute(_SECONDS).fetchall()]


def bare_processes(number: int) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: subprocess.run(BARE, check=True), range(number)))


def timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def table(alone: Sequence[float], many: int, taken: float, bare: float) -> Table:
    shown = Table(title="A no-op task through all six functions")
    for heading in ("what", "value"):
        shown.add_column(heading)
    quantiles = statistics.quantiles(alone, n=20)
    shown.add_row(
        f"accepted → finished, {len(alone)} one at a time, median", f"{1000 * statistics.median(alone):.0f} ms"
    )
    shown.add_row("the same, 95th percentile", f"{1000 * quantiles[18]:.0f} ms")
    shown.add_row(f"{many} tasks at once", f"{taken:.1f} s, {many / taken:.1f} tasks/s")
    shown.add_row(f"{many} bare no-op processes, {AT_ONCE} at once", f"{bare:.1f} s, {many / bare:.1f} processes/s")
    shown.add_row("ratio of the two", f"{taken / bare:.2f}")
    return shown


HTTP = urllib3.PoolManager(retries=urllib3.Retry(3, allowed_methods=None, backoff_factor=0.2), maxsize=8)

if __name__ == "__main__":
    main()
