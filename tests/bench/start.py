"""`make bench-start`: process start to first answered request, each function beside a bare hello world.

Rounds are interleaved, so a machine that gets slower makes all of them slower. Goal: ratio at most 1.3.
The last column goes on until `/readyz` is 200: the driver is loaded and PostgreSQL has answered.
"""

import argparse
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from shared.local.servers.postgres import Postgres
from shared.local.state import free_port
from shared.postgres.migrations import migrate
from tests.component.functions import FUNCTIONS, settings

BARE = "bare hello world"
GOAL = 1.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds: int = parser.parse_args().rounds
    console = Console()
    names = (BARE, *FUNCTIONS)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, console.status("starting processes…"):
        Path(folder).chmod(0o711)  # run by root, PostgreSQL is another user
        (Path(folder) / "jobs").mkdir()
        with Postgres(Path(folder) / "postgres") as server:
            migrate(server.url)
            env = settings(server.url, "http://127.0.0.1:1", Path(folder))
            for number in range(rounds + 1):
                for name in names:
                    seconds = first_answers(name, env)
                    if number:  # The first round fills the caches.
                        taken[name].append(seconds)
    console.print(table(taken))


def first_answers(name: str, env: Mapping[str, str]) -> tuple[float, float]:
    """Seconds from the start of the process to its first answer, and to being ready."""
    port = free_port()
    began = time.perf_counter()
    process = subprocess.Popen(
        command(name, port),
        env={**os.environ, **env, "FACTEUR_SERVER_LISTEN_ADDRESS": f"127.0.0.1:{port}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        answered = await_ok(process, port, "/healthz", began)
        return answered, await_ok(process, port, "/readyz", began)
    finally:
        process.terminate()
        process.wait()


def command(name: str, port: int) -> Sequence[str]:
    if name == BARE:
        return [sys.executable, "-m", "tests.bench.bare", str(port)]
    return [sys.executable, "-m", "shared.web.serve", name]


def await_ok(process: "subprocess.Popen[bytes]", port: int, path: str, began: float) -> float:
    while not is_ok(port, path):
        if process.poll() is not None or time.perf_counter() - began > 30:
            raise SystemExit("a process did not start")
        time.sleep(0.001)
    return time.perf_counter() - began


def is_ok(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def table(taken: Mapping[str, Sequence[tuple[float, float]]]) -> Table:
    bare = statistics.median(first for first, _ in taken[BARE])
    shown = Table(title=f"Process start to first answer, {len(taken[BARE])} rounds (goal: ratio ≤ {GOAL})")
    for heading in ("process", "median ms", "min ms", "max ms", "ratio", "ready, median ms"):
        shown.add_column(heading, justify="left" if heading == "process" else "right")
    for name, seconds in taken.items():
        first = [answered for answered, _ in seconds]
        median = statistics.median(first)
        ready = statistics.median(ready for _, ready in seconds)
        figures = (f"{1000 * value:.0f}" for value in (median, min(first), max(first)))
        shown.add_row(name, *figures, f"{median / bare:.2f}", "" if name == BARE else f"{1000 * ready:.0f}")
    return shown


if __name__ == "__main__":
    main()
