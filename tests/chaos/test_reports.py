"""A hundred containers report through a bad network to processes that die: what is stored is what they said."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psutil
import pytest

from shared.domain.task_token import mint_task_token
from shared.events.catalogue import TaskFinished, announce
from shared.local.servers.postgres import Postgres
from shared.postgres.database import Database
from shared.postgres.migrations import migrate
from tests.chaos.fire import SEED, moments
from tests.chaos.fleet import Fleet, fleet, killing
from tests.chaos.lossy_proxy import LOST, RATES, LossyProxy
from tests.chaos.report_writers import ENDED, EVENTS, Orders, Said, Writer, story
from tests.component.conftest import Stage
from tests.component.functions import TOKEN_SECRET, Sink, settings, sink

WRITERS, WRITER_PROCESSES, KILLS = 100, 2, 3
SECONDS = 75  # in which a container has to come to its end, on a machine that is busy with other tests
AWAY = 10
LIVENESS = 0.99


@dataclass
class Scene:
    """Two processes of callback behind a bad network, their database and their broker."""

    stage: Stage
    broker: Sink
    fleet: Fleet
    proxy: LossyProxy

    def launch(self, number: int, first: int = 0) -> list[Writer]:
        """That many tasks that run, each with its container."""
        tasks = [self.stage.launch()[0] for _ in range(number)]
        return [Writer(n, str(task), mint_task_token(TOKEN_SECRET, task, 1)) for n, task in enumerate(tasks, first)]


@contextmanager
def scene(dsn: str, folder: Path, name: str) -> Iterator[Scene]:
    with ExitStack() as stack:
        database = Database(dsn)
        stack.callback(database.close)
        broker = stack.enter_context(sink())
        processes = stack.enter_context(fleet("callback", 2, settings(dsn, broker.url, folder), folder))
        urls = [function.url for function in processes.functions]
        proxy = stack.enter_context(LossyProxy(urls, f"{SEED} {name}"))
        yield Scene(Stage(dsn, database), broker, processes, proxy)


def report(scene: Scene, how: str, name: str, folder: Path, writers: Sequence[Writer]) -> dict[str, str]:
    """What became of each task."""
    shares = [writers[start::WRITER_PROCESSES] for start in range(WRITER_PROCESSES)]

    def run(share: Sequence[Writer]) -> dict[str, str]:
        orders = Orders(how, f"{SEED} {name}", scene.proxy.url, str(folder / "containers"), SECONDS, list(share))
        done = subprocess.run(
            [sys.executable, "-m", "tests.chaos.report_writers"],
            input=msgspec.json.encode(orders),
            stdout=subprocess.PIPE,
            check=True,
        )
        ends: dict[str, str] = json.loads(done.stdout)
        return ends

    with ThreadPoolExecutor(WRITER_PROCESSES) as threads:
        return {task: end for ends in threads.map(run, shares) for task, end in ends.items()}


def stored(scene: Scene, table: str, columns: str, order: str) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of a table, by task."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for row in scene.stage.rows(f"SELECT task_id::text, {columns} FROM codex_kb.{table} ORDER BY {order}"):  # noqa: S608
        task, *rest = row.values()
        found.setdefault(task, []).append(tuple(rest))
    return found


def as_bytes(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, sort_keys=True).encode()


def row(task: str, said: Said) -> tuple[int, str, str, bytes]:
    return said.sequence, f"{task}-1-{said.sequence}", said.kind, as_bytes(said.content)


def everything_is_stored_once(scene: Scene, how: str, name: str, writers: Sequence[Writer], ended: set[str]) -> None:
    """Of a run that ended all is stored, of any other nothing that was not said."""
    columns = "sequence, event_id, event_type, content"
    events = stored(scene, "codex_task_events", columns, "sequence, id")
    snapshots = stored(scene, "codex_task_snapshots", "type, content", "id")
    for writer in writers:
        said = story(f"{SEED} {name}", writer.number, texts_only=how == "sdk")
        expected = [row(writer.task, one) for one in said]
        found = [(*rest, as_bytes(content)) for *rest, content in events.get(writer.task, [])]
        if writer.task in ended:
            assert found == expected
            shots = [one.snapshot for one in said if one.snapshot]
            assert sorted(snapshots.get(writer.task, [])) == sorted(shots)
        else:
            assert len(set(found)) == len(found) and set(found) <= set(expected)


def every_run_ended_once(scene: Scene, name: str, how: str, writers: Sequence[Writer], ended: set[str]) -> None:
    """In its state, its story, its result and its sums, and for all who hear of it."""
    columns = "id::text, status, reason, result, usage"
    tasks = {row["id"]: row for row in scene.stage.rows(f"SELECT {columns} FROM codex_kb.codex_tasks")}  # noqa: S608
    ends = Counter(
        row["task_run_id"]
        for row in scene.stage.rows(
            "SELECT task_run_id::text FROM codex_kb.run_events WHERE event_type IN ('succeeded', 'failed', 'canceled')"
        )
    )
    for writer in writers:
        if writer.task not in ended:
            continue
        *work, end = story(f"{SEED} {name}", writer.number, texts_only=how == "sdk")
        task = tasks[writer.task]
        assert (task["status"], task["reason"], task["result"]) == ("succeeded", "", end.content[:4000])
        sums: Counter[str] = Counter()
        for said in work:
            sums.update(said.content if said.kind == "usage" else {})
        assert {name: number for name, number in task["usage"].items() if name in sums} == sums
    assert {task: times for task, times in ends.items() if task in ended} == dict.fromkeys(ended, 1)
    finished = {announce(TaskFinished(UUID(task), "succeeded"), "callback", None).id for task in ended}
    waiting = {row["id"] for row in scene.stage.rows("SELECT id::text FROM codex_kb.outbox")}
    assert finished <= waiting | {event.id for event in scene.broker.events}


def prove(scene: Scene, how: str, name: str, folder: Path, size: int, fire: Callable[[], Any], kills: int = 0) -> None:
    """Containers report while `fire` goes on, until it killed so often; what they said is what is stored."""
    writers = scene.launch(size)
    began = time.monotonic()
    with fire():
        ends = report(scene, how, name, folder, writers)
        while scene.fleet.kills < kills:
            more = scene.launch(10, len(writers))
            writers += more
            ends |= report(scene, how, name, folder, more)
    took = time.monotonic() - began
    ended = {task for task, end in ends.items() if end == ENDED}
    print(
        f"{len(writers) * EVENTS} events in {took:.0f} s, {scene.fleet.kills} kills, {dict(scene.proxy.counts)};",
        end=" ",
    )
    print(dict(Counter(ends.values())))
    everything_is_stored_once(scene, how, name, writers, ended)
    every_run_ended_once(scene, name, how, writers, ended)
    assert len(ended) >= LIVENESS * len(writers), Counter(ends.values())
    assert all(scene.proxy.counts[fault] for fault in RATES)
    assert scene.proxy.counts[LOST] >= 0.03 * scene.proxy.counts["asked"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["sdk", "hand"])
def test_a_hundred_containers_report_under_fire_and_every_byte_is_stored_once_and_in_order(
    dsn: str, tmp_path: Path, how: str
) -> None:
    name = f"reports {how}"
    with scene(dsn, tmp_path, name) as stage:
        prove(stage, how, name, tmp_path, WRITERS, lambda: killing(stage.fleet, moments(name)), KILLS)
        assert stage.fleet.kills >= KILLS


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_a_database_that_is_away_for_ten_seconds_costs_time_and_nothing_else(tmp_path: Path, how: str) -> None:
    tmp_path.chmod(0o711)  # run by root, PostgreSQL is another user
    server = Postgres(tmp_path / "postgres")
    with server:
        migrate(server.url)
        with scene(server.url, tmp_path, how) as stage:
            prove(stage, "sdk", how, tmp_path, WRITERS // 2, lambda: away(server, how == "frozen"))
    server.erase()


@contextmanager
def away(server: Postgres, frozen: bool) -> Iterator[None]:
    """The server goes away soon, and comes back."""
    thread = threading.Thread(target=_freeze if frozen else _stop, args=(server,))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _stop(server: Postgres) -> None:
    port = server.port
    time.sleep(2)
    server.stop()
    time.sleep(AWAY)
    server.start(port)


def _freeze(server: Postgres) -> None:
    time.sleep(2)
    assert server._process is not None
    leader = psutil.Process(server._process.pid)
    frozen = [leader, *leader.children(recursive=True)]
    for process in frozen:
        _signal(process, signal.SIGSTOP)
    time.sleep(AWAY)
    for process in frozen:
        _signal(process, signal.SIGCONT)


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):  # a connection that was closed took its process along
        process.send_signal(number)
