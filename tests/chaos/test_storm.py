"""Many tasks, each posted many times, while anything is killed: each is run once, and none is lost."""

import contextlib
import json
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import psutil

from shared.events.catalogue import TASK_REQUESTED
from shared.events.event import Event
from shared.local.children import FUNCTIONS
from shared.local.twin import Twin, TwinSettings
from tests.chaos.fire import MODULES, SERVERS, find, moments
from tests.flow.laptop import TICKS, Laptop
from tests.integration.local.waiting import eventually

TASKS, TIMES, THREADS, KILLS = 100, 10, 8, 20
VICTIMS = (*FUNCTIONS, *MODULES, *SERVERS)
RUNNER = (sys.executable, str(Path(__file__).with_name("quick_runner.py")))


def test_a_hundred_tasks_posted_ten_times_under_fire_are_run_once_each(state: Path) -> None:
    chance = moments("storm")
    with Twin(TwinSettings(state, runner_command=RUNNER), said=lambda _: None) as info:
        laptop = Laptop(info)
        posts = [_post(laptop, number) for number in range(TASKS)] * TIMES
        chance.shuffle(posts)
        fire = threading.Thread(target=_kill_anything, args=(info.twin_id, chance))
        fire.start()
        with ThreadPoolExecutor(THREADS) as threads:
            tasks = set(threads.map(lambda post: post(), posts))
        fire.join()
        assert len(tasks) == TASKS
        _all_end(laptop)
        ended = laptop.rows("SELECT id, status, attempt, reason FROM codex_kb.codex_tasks")
        assert {row["id"] for row in ended} == tasks
        assert {(row["status"], row["attempt"], row["reason"]) for row in ended} == {("succeeded", 1, "")}
        assert laptop.jobs() == sorted(laptop.job(task).name for task in tasks)
        assert {(laptop.job(task) / "work" / "starts").read_text() for task in tasks} == {"started\n"}


def _post(laptop: Laptop, number: int) -> Callable[[], UUID]:
    prompt = f"Task number {number} of the storm"
    if number % 2:
        return lambda: laptop.submit(prompt, f"storm {number}")
    body = json.dumps({"prompt": prompt}).encode()
    event = Event(f"storm-{number}", "/tests", TASK_REQUESTED, datacontenttype="application/json", data=body)
    return lambda: laptop.publish(event)


def _kill_anything(twin_id: str, chance: random.Random) -> None:
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.2, 0.8))
        found = find(twin_id, chance.choice(VICTIMS))
        with contextlib.suppress(psutil.NoSuchProcess):
            if found:  # nothing of this name lives while it is restarted
                chance.choice(found).kill()


def _all_end(laptop: Laptop) -> None:
    unfinished = "SELECT count(*) AS tasks FROM codex_kb.codex_tasks WHERE finished_at IS NULL"
    known = "SELECT count(*) AS tasks FROM codex_kb.codex_tasks"
    eventually(
        lambda: laptop.rows(known)[0]["tasks"] == TASKS and laptop.rows(unfinished)[0]["tasks"] == 0,
        "the end of every task",
        TICKS,
    )
