"""A thousand deliveries, ten times each, in any order, to three processes of codex-intake that are killed meanwhile."""

import contextlib
import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import urllib3

from shared.domain.ids import run_id
from shared.events.catalogue import TaskAccepted, announce
from shared.events.protobuf.proompteng.froussard.v1.codex_task_pb2 import CODEX_TASK_STAGE_IMPLEMENTATION, CodexTask
from shared.postgres.scratch import scratch_database
from tests.chaos.fire import moments
from tests.chaos.fleet import fleet, killing
from tests.component.functions import Function, authorised, settings, sink

TASKS, TIMES, ISSUES, THREADS, KILLS = 1000, 10, 500, 16, 5
SECONDS = 300  # ends a hang
# What a sender tries again: 409 is a delivery in flight, 5xx a function or server that is away.
AGAIN = {409, 500, 502, 503, 504}


class Sender:
    """Posts until it is told that the delivery is accepted, as every event source does."""

    def __init__(self, functions: Sequence[Function], chance: random.Random) -> None:
        self._functions = functions
        self._chance = chance
        self._http = urllib3.PoolManager(maxsize=THREADS, retries=False, timeout=10)
        self._give_up = time.monotonic() + SECONDS
        self.tries: Counter[str] = Counter()

    def __call__(self, body: bytes) -> str:
        """The id of the run."""
        while True:
            answer = self._once(body)
            self.tries[str(answer.status) if answer else "no answer"] += 1
            if answer and answer.status not in AGAIN:
                assert answer.status == 202, answer.data
                return str(answer.json()["taskRunId"])
            assert time.monotonic() < self._give_up, self.tries
            time.sleep(0.02)

    def _once(self, body: bytes) -> urllib3.BaseHTTPResponse | None:
        url = self._chance.choice(self._functions).url
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return self._http.request("POST", f"{url}/codex/tasks", body=body, headers=authorised())
        return None


def delivery(number: int) -> str:
    return f"storm-delivery-{number}"


def body(number: int) -> bytes:
    return CodexTask(
        stage=CODEX_TASK_STAGE_IMPLEMENTATION,
        prompt=f"Task number {number}",
        repository="o/r",
        issue_number=1 + number % ISSUES,
        delivery_id=delivery(number),
    ).SerializeToString()


@pytest.mark.timeout(2 * SECONDS)
def test_a_thousand_deliveries_posted_ten_times_under_fire_are_stored_and_announced_once_each(
    postgres_server: str, migrated_template: str, tmp_path: Path
) -> None:
    chance = moments("deliveries")
    posts = [number for number in range(TASKS) for _ in range(TIMES)]
    chance.shuffle(posts)
    bodies = [body(number) for number in range(TASKS)]
    began = time.monotonic()
    with ExitStack() as stack:
        dsn = stack.enter_context(scratch_database(postgres_server, migrated_template))
        broker = stack.enter_context(sink())
        processes = stack.enter_context(fleet("codex-intake", 3, settings(dsn, broker.url, tmp_path), tmp_path))
        send = Sender(processes.functions, chance)
        with killing(processes, chance), ThreadPoolExecutor(THREADS) as threads:
            answers = list(threads.map(lambda number: send(bodies[number]), posts))
            while processes.kills < KILLS:  # the faster the machine, the fewer were killed so far
                more = chance.choices(posts, k=THREADS)
                posts += more
                answers += threads.map(lambda number: send(bodies[number]), more)
        took = time.monotonic() - began
        assert answers == [str(run_id(delivery(number))) for number in posts]
        _stored_once(dsn)
        expected = {
            announce(TaskAccepted(run_id(delivery(number))), "codex-intake", None).id for number in range(TASKS)
        }
        with psycopg.connect(dsn) as connection:
            waiting = {row[0] for row in connection.execute("SELECT id::text FROM codex_kb.outbox").fetchall()}
        heard = Counter(event.id for event in broker.events)
        assert waiting | set(heard) == expected
    assert processes.kills >= KILLS
    twice = sum(times - 1 for times in heard.values())
    print(f"{len(posts)} deliveries in {took:.0f} s, {processes.kills} kills, tries {dict(send.tries)};", end=" ")
    print(f"{len(heard)} events at the sink, {twice} of them again, {len(waiting)} left in the outbox")


def _stored_once(dsn: str) -> None:
    tables = {"ideas": ISSUES, "tasks": ISSUES, "task_runs": TASKS, "codex_tasks": TASKS}
    with psycopg.connect(dsn) as connection:
        for table, rows in tables.items():
            assert connection.execute(f"SELECT count(*) FROM codex_kb.{table}".encode()).fetchone() == (rows,), table  # noqa: S608
        stored = connection.execute("SELECT id, delivery_id FROM codex_kb.task_runs").fetchall()
        prompts = connection.execute("SELECT id, prompt FROM codex_kb.codex_tasks").fetchall()
    assert set(stored) == {(run_id(delivery(number)), delivery(number)) for number in range(TASKS)}
    assert set(prompts) == {(run_id(delivery(number)), f"Task number {number}") for number in range(TASKS)}
