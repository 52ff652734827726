"""`make bench-embedding`: texts embedded a second against a local API that takes 50 ms a call, and calls a text.

Events: tasks that were accepted, posted to the deployed embedder so many at a time, each until its answer;
by then the task is prepared and its text has a vector. Bursts: so many events at the same moment, and the next
as many once all are answered. Ticks: as many texts that wait, by one tick after the other. Each figure is the
median of the rounds. Redis, PostgreSQL and the broker are real or of the twin.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.table import Table

from shared.events import codec
from shared.events.catalogue import TaskAccepted, announce
from shared.events.event import Event
from shared.local.servers.postgres import Postgres
from shared.local.servers.redis import Redis
from shared.local.state import free_port
from shared.postgres.database import Database
from shared.postgres.migrations import migrate
from tests.component.conftest import NO_PROXY, Stage, tick
from tests.component.functions import Function, running, settings
from tests.serving import serving

LATENCY_SECONDS = 0.05
AT_ONCE = (1, 16, 64)


class Api(ThreadingHTTPServer):
    """Answers every call after 50 ms, with vectors that it makes once a dimension."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.calls = 0
        self.texts = 0
        self.lock = threading.Lock()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Call(BaseHTTPRequestHandler):
    server: Api
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else head and body are 40 ms apart

    def do_POST(self) -> None:
        began = time.monotonic()
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.calls += 1
            self.server.texts += len(request["input"])
        vector = json.dumps([((at * 37) % 101 - 50) / 1000 for at in range(request["dimensions"])])
        data = ",".join(f'{{"index":{at},"embedding":{vector}}}' for at in range(len(request["input"])))
        body = f'{{"data":[{data}]}}'.encode()
        time.sleep(max(0.0, LATENCY_SECONDS - (time.monotonic() - began)))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@dataclass(frozen=True)
class Round:
    seconds: float
    texts: int
    calls: int
    sent: int
    p50: float = 0.0


@dataclass(frozen=True)
class Bench:
    function: Function
    stage: Stage
    api: Api

    def measured(self, texts: int, work: Callable[[], Sequence[float]]) -> Round:
        calls, sent, began = self.api.calls, self.api.texts, time.perf_counter()
        each = work()
        taken = time.perf_counter() - began
        p50 = 1000 * statistics.median(each)
        return Round(taken, texts, self.api.calls - calls, self.api.texts - sent, p50)

    def missing(self) -> int:
        (row,) = self.stage.rows(
            "SELECT count(*) AS count FROM codex_kb.codex_tasks AS task WHERE NOT EXISTS (SELECT FROM "
            "codex_kb.codex_task_memory_index AS known WHERE known.task_id = task.id AND NOT waits)"
        )
        return int(row["count"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=2000, help="texts in a round")
    parser.add_argument("--at-once", type=int, nargs="+", default=AT_ONCE, help="how many events at a time")
    parser.add_argument("--rounds", type=int, default=3, help="rounds for each number at once")
    parser.add_argument("--dimension", type=int, default=3072, help="of the vectors")
    options = parser.parse_args()
    table = Table(title=f"Embedding, {options.dimension} dimensions, medians of {options.rounds} rounds")
    for heading in ("", "at once", "texts/s", "calls/text", "texts/call", "sent twice", "p50 ms"):
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)  # run by root, PostgreSQL is another user
        with bench(folder, options.dimension) as running_bench:
            events(running_bench, 64, 16)
            for at_once in options.at_once:
                number = options.texts if at_once > 1 else options.texts // 10
                _show(table, "events", at_once, [events(running_bench, number, at_once) for _ in range(options.rounds)])
                if at_once > 1:
                    made = [bursts(running_bench, number, at_once) for _ in range(options.rounds)]
                    _show(table, "bursts", at_once, made)
            _show(table, "ticks", 1, [ticks(running_bench, options.texts) for _ in range(options.rounds)])
    Console(width=120).print(table)


@contextmanager
def bench(folder: Path, dimension: int) -> Iterator[Bench]:
    """An embedder with everything around it."""
    postgres, redis = Postgres(folder / "postgres"), Redis(folder / "redis")
    port = free_port()
    api = Api()
    with ExitStack() as stack:
        stack.enter_context(serving(api))
        stack.callback(postgres.erase)
        stack.enter_context(postgres)
        stack.enter_context(redis)
        broker = stack.enter_context(subprocess.Popen([sys.executable, "-m", "tests.bench.ingress", str(port)]))
        stack.callback(broker.terminate)
        migrate(postgres.url)
        database = Database(postgres.url)
        stack.callback(database.close)
        env = settings(postgres.url, f"http://127.0.0.1:{port}", folder, redis.url) | {
            "OPENAI_API_KEY": "sk-of-the-bench",
            "OPENAI_BASE_URL": api.base_url,
            "OPENAI_EMBEDDING_DIMENSION": str(dimension),
            "FACTEUR_LOG_LEVEL": "WARNING",
            **NO_PROXY,
        }
        function = stack.enter_context(running("embedder", env, folder / "log"))
        yield Bench(function, Stage(postgres.url, database), api)


_names = iter(range(10**9))


def _accept(bench: Bench, number: int) -> list[UUID]:
    return [bench.stage.accept(f"Task {next(_names)}: repair what is broken\n" * 20) for _ in range(number)]


def events(bench: Bench, number: int, at_once: int) -> Round:
    sent = [announce(TaskAccepted(task), "codex-intake", None) for task in _accept(bench, number)]

    def worker(share: Sequence[Event]) -> list[float]:
        connection = http.client.HTTPConnection(bench.function.url.removeprefix("http://"), timeout=60)
        times = [_deliver(connection, event) for event in share]
        connection.close()
        return times

    def work() -> list[float]:
        with ThreadPoolExecutor(at_once) as pool:
            return [one for each in pool.map(worker, [sent[at::at_once] for at in range(at_once)]) for one in each]

    measured = bench.measured(number, work)
    if bench.missing():
        raise SystemExit(f"{bench.missing()} texts have no vector")
    return measured


def bursts(bench: Bench, number: int, at_once: int) -> Round:
    sent = [announce(TaskAccepted(task), "codex-intake", None) for task in _accept(bench, number)]
    address = bench.function.url.removeprefix("http://")
    connections = [http.client.HTTPConnection(address, timeout=60) for _ in range(at_once)]

    def work() -> list[float]:
        times: list[float] = []
        with ThreadPoolExecutor(at_once) as pool:
            for start in range(0, number, at_once):
                times += pool.map(_deliver, connections, sent[start : start + at_once])
        return times

    measured = bench.measured(number, work)
    for connection in connections:
        connection.close()
    return measured


def ticks(bench: Bench, number: int) -> Round:
    _accept(bench, number)

    def work() -> list[float]:
        connection = http.client.HTTPConnection(bench.function.url.removeprefix("http://"), timeout=120)
        times = []
        while bench.missing():
            times.append(_deliver(connection, tick()))
        connection.close()
        return times

    return bench.measured(number, work)


def _deliver(connection: http.client.HTTPConnection, event: Event) -> float:
    headers, body = codec.encode(event)
    began = time.perf_counter()
    connection.request("POST", "/", body, headers)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 204:
        raise SystemExit(f"an event was answered {answer.status}")
    return time.perf_counter() - began


def _show(table: Table, what: str, at_once: int, rounds: Sequence[Round]) -> None:
    def middle(of: Callable[[Round], float]) -> float:
        return statistics.median(map(of, rounds))

    table.add_row(
        what,
        str(at_once),
        f"{middle(lambda one: one.texts / one.seconds):.0f}",
        f"{middle(lambda one: one.calls / one.texts):.3f}",
        f"{middle(lambda one: one.sent / one.calls):.1f}",
        f"{middle(lambda one: one.sent - one.texts):.0f}",
        f"{middle(lambda one: one.p50):.1f}",
    )


if __name__ == "__main__":
    main()
