"""Learning from outcomes through the functions as they are deployed: hold-outs, tosses, verdicts, lift and switch."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shared.domain.effect import is_held_out
from shared.domain.ids import resource_name
from shared.domain.lift import LEAST
from shared.domain.scope_lift import document
from shared.domain.task import Run
from shared.domain.task_token import mint_task_token
from shared.events.catalogue import TaskFinished, TaskPrepared, announce
from shared.postgres.launches import PgLaunches
from shared.postgres.memory_learning import PgMemoryLearning
from shared.postgres.memory_trials import PgMemoryTrials
from shared.postgres.runs import PgRuns
from tests.component.conftest import COLLEAGUE_TOKEN, STRANGER_TOKEN, Stage, api_tokens
from tests.component.functions import (
    READ_ONLY_TOKEN,
    TOKEN_SECRET,
    Function,
    Sink,
    authorised,
    running,
    settings,
)

# The first test waits for two hundred tasks.
pytestmark = pytest.mark.timeout(300)

SHARE = 0.3
TASKS = 200
REPOSITORY = "o/temple"
PROMPT = "Repair the ziggurat drainage pump number {}"
END = "UPDATE codex_kb.codex_tasks SET status = %(status)s, finished_at = now() WHERE id = %(task)s"
EXPOSED = """
SELECT memory_id, channel, attempt, rank, propensity, shown FROM codex_kb.memory_exposure WHERE task_id = %(task)s
"""


@dataclass
class Functions:
    dispatcher: Function
    memory: Function
    intake: Function
    embedder: Function
    jobs: Path

    def launch(self, task: UUID) -> list[str]:
        """Launches a task; the tasks whose memories stand in its prompt file."""
        assert self.dispatcher.deliver(announce(TaskPrepared(task), "embedder", None)).status == 204
        return self.prompt(task)

    def prompt(self, task: UUID, attempt: int = 1) -> list[str]:
        text = (self.jobs / resource_name(task, attempt) / "files" / "CODEX_PROMPT_FILE").read_text()
        return [line.partition(": task ")[2][:36] for line in text.splitlines() if ": task " in line]

    def ask(self, task: UUID, attempt: int = 1) -> Any:
        answer = self.memory.get(
            f"/v1/codex/tasks/{task}/memory", authorised(mint_task_token(TOKEN_SECRET, task, attempt))
        )
        assert answer.status == 200, answer.data
        return answer.json()

    def finished(self, task: UUID) -> None:
        assert self.embedder.deliver(announce(TaskFinished(task, "succeeded"), "callback", None)).status == 204

    def lift(self, query: str = "", token: str = COLLEAGUE_TOKEN) -> Any:
        answer = self.memory.get(f"/v1/memory/lift{query}", authorised(token))
        assert answer.status == 200, answer.data
        return answer.json()["scopes"]

    def judge(self, task: UUID, body: dict[str, str], token: str = COLLEAGUE_TOKEN) -> int:
        path = f"/v1/codex/tasks/{task}/verdict"
        return self.intake.post(path, json.dumps(body).encode(), authorised(token)).status


@pytest.fixture(scope="module")
def functions(stage: Stage, module_sink: Sink, folder: Path, redis_url: str) -> Iterator[Functions]:
    env = settings(stage.dsn, module_sink.url, folder, redis_url) | {
        "FACTEUR_API_TOKENS": api_tokens(),
        "FACTEUR_MEMORY_HOLDOUT_SHARE": str(SHARE),
        "FACTEUR_MAX_RUNS": "0",
    }
    with (
        running("dispatcher", env, folder / "log-dispatcher") as dispatcher,
        running("memory-query", env, folder / "log-memory") as memory,
        running("codex-intake", env, folder / "log-intake") as intake,
        running("embedder", env, folder / "log-embedder") as embedder,
    ):
        yield Functions(dispatcher, memory, intake, embedder, folder / "jobs")


@dataclass
class Played:
    """A task with what it was shown in its prompt and when it asked."""

    task: UUID
    prompt: list[str]
    asked: Any

    @property
    def held_out(self) -> bool:
        return is_held_out(self.task, SHARE)


@pytest.fixture(scope="module")
def library(stage: Stage) -> list[UUID]:
    """The tasks that there is something to remember of."""
    return [stage.remember(PROMPT.format(f"{letter}{letter}"), repository="o/library") for letter in "abcdefgh"]


@pytest.fixture(scope="module")
def played(stage: Stage, functions: Functions, library: list[UUID]) -> list[Played]:
    """Tasks that were launched and have asked; none has ended."""
    # Who is held out follows from the ids: these are the same in every run.
    tasks = [
        stage.remember(PROMPT.format(number), delivery=f"pump {number}", repository=REPOSITORY)
        for number in range(TASKS)
    ]
    return [Played(task, functions.launch(task), functions.ask(task)) for task in tasks]


@pytest.fixture(scope="module")
def over(stage: Stage, functions: Functions, played: list[Played]) -> list[Played]:
    """All have ended: whoever may be shown memories failed, and whoever was held out succeeded."""
    for one in played:
        stage.change(END, one.task, status="succeeded" if one.held_out else "failed")
    for one in played:
        functions.finished(one.task)
    return played


def exposed(stage: Stage, task: UUID) -> list[Any]:
    return list(stage.rows(EXPOSED, task))


def test_a_share_of_the_tasks_is_shown_nothing_by_either_channel(stage: Stage, played: list[Played]) -> None:
    held_out = [one for one in played if one.held_out]
    assert 0.2 * TASKS < len(held_out) < 0.4 * TASKS
    for one in held_out:
        assert (one.prompt, one.asked["results"], one.asked["holdout"]) == ([], [], True)
        assert exposed(stage, one.task) == []
    rows = stage.rows("SELECT arm, count(*) AS tasks FROM codex_kb.memory_trials GROUP BY arm")
    assert {row["arm"]: row["tasks"] for row in rows} == {
        "holdout": len(held_out),
        "treated": TASKS - len(held_out),
    }


def test_what_is_shown_and_what_is_withheld_is_logged_with_its_odds(stage: Stage, played: list[Played]) -> None:
    treated = [one for one in played if not one.held_out]
    tossed: Counter[bool] = Counter()
    for one in treated:
        assert "holdout" not in one.asked and "switchedOff" not in one.asked
        rows = exposed(stage, one.task)
        assert rows and {row["propensity"] for row in rows} == {0.5}
        tossed.update(row["shown"] for row in rows)
        shown = {(row["channel"], row["rank"]) for row in rows if row["rank"]}
        assert len(one.prompt) == sum(channel == "prompt" for channel, _ in shown)
        assert len(one.asked["results"]) == sum(channel == "query" for channel, _ in shown)
        said = {str(row["memory_id"]) for row in rows if row["channel"] == "query" and row["rank"]}
        assert said == {result["provenance"]["memoryId"] for result in one.asked["results"]}
        tosses = {(row["memory_id"], row["shown"]) for row in rows}
        assert len(tosses) == len({memory for memory, _ in tosses}), "a memory is tossed for once"
    assert 0.4 < tossed[True] / tossed.total() < 0.6


def test_the_timeline_tells_only_what_was_shown(functions: Functions, stage: Stage, played: list[Played]) -> None:
    one = next(one for one in played if not one.held_out)
    answer = functions.intake.get(f"/v1/codex/tasks/{one.task}/timeline", authorised(COLLEAGUE_TOKEN)).json()
    told = [entry for entry in answer["entries"] if entry["what"] == "memory shown"]
    assert len(told) == len(one.prompt) + len(one.asked["results"])


def test_a_task_that_asks_again_or_is_launched_again_is_shown_the_same(
    functions: Functions, stage: Stage, played: list[Played]
) -> None:
    for one in [next(one for one in played if one.held_out == held_out) for held_out in (True, False)]:
        before = exposed(stage, one.task)
        assert found(functions.ask(one.task)) == found(one.asked)
        assert exposed(stage, one.task) == before
        run = _run(stage, one.task)
        assert PgLaunches(stage.database).retry(run, "it was evicted", 0)
        functions.launch(one.task)
        assert functions.prompt(one.task, 2) == one.prompt
        assert found(functions.ask(one.task, 2)) == found(one.asked)


def found(answer: Any) -> list[str]:
    return [result["provenance"]["memoryId"] for result in answer["results"]]


def _run(stage: Stage, task: UUID) -> Run:
    found = PgRuns(stage.database).open_by_id(task)
    assert found
    return found.run


def test_a_caller_of_the_api_is_shown_everything_and_nothing_is_noted(
    functions: Functions, stage: Stage, played: list[Played]
) -> None:
    one = next(one for one in played if one.held_out)
    answer = functions.memory.get(f"/v1/codex/tasks/{one.task}/memory", authorised(COLLEAGUE_TOKEN)).json()
    assert len(answer["results"]) == 5 and "holdout" not in answer
    assert exposed(stage, one.task) == []


def test_the_lift_is_what_the_arms_say_and_the_harmful_scope_is_off(
    functions: Functions, stage: Stage, over: list[Played]
) -> None:
    (told,) = functions.lift()
    (known,) = PgMemoryLearning(stage.database).lift("default")
    assert told == json.loads(json.dumps(document(known)))
    held_out = sum(one.held_out for one in over)
    assert told["tasks"] == {"treated": TASKS - held_out, "holdout": held_out}
    assert min(told["tasks"].values()) > LEAST
    assert told["success"]["estimate"] == -1.0
    assert told["success"]["high"] < 0
    assert told["off"]["why"].startswith("success differs by -1.000")
    logs = functions.embedder.log.read_text()
    assert logs.count("memories did harm: the scope is switched off") == 1


def test_an_outcome_that_is_told_again_changes_nothing(functions: Functions, stage: Stage, over: list[Played]) -> None:
    def state() -> list[Any]:
        statements = (
            "SELECT * FROM codex_kb.memory_sums",
            "SELECT * FROM codex_kb.memory_effects",
            "SELECT * FROM codex_kb.memory_trials",
            "SELECT * FROM codex_kb.memory_scopes",
        )
        return [sorted(map(str, stage.rows(statement))) for statement in statements]

    before = state()
    for one in over[:10]:
        functions.finished(one.task)
    assert state() == before


def test_a_tenant_sees_its_own_lift_alone(functions: Functions, over: list[Played]) -> None:
    assert functions.lift(token=STRANGER_TOKEN) == []
    assert functions.lift(f"?repository={REPOSITORY}", STRANGER_TOKEN) == []
    assert len(functions.lift(f"?repository={REPOSITORY}")) == 1
    assert functions.lift("?repository=o/other") == []
    refused = {
        "/v1/memory/lift?tenant=default": (COLLEAGUE_TOKEN, 400),
        "/v1/memory/lift?repository=a&repository=b": (COLLEAGUE_TOKEN, 400),
        "/v1/memory/lift?repository=c": (READ_ONLY_TOKEN, 403),
        "/v1/memory/lift?repository=d": ("nobody's", 401),
    }
    for path, (token, status) in refused.items():
        assert functions.memory.get(path, authorised(token)).status == status, path


def test_a_verdict_counts_instead_of_the_end_and_is_told(
    functions: Functions, stage: Stage, over: list[Played]
) -> None:
    one = next(one for one in over if not one.held_out)

    def successes() -> float:
        return PgMemoryTrials(stage.database).known(one.task, []).scope.successes

    before = successes()
    for verdict, more in (("good", 1), ("good", 1), ("bad", 0), ("good", 1), ("bad", 0)):
        assert functions.judge(one.task, {"verdict": verdict, "note": "token=ghp_" + "a1B2" * 9}) == 200
        assert successes() == before + more
    path = f"/v1/codex/tasks/{one.task}/timeline"
    entries = functions.intake.get(path, authorised(COLLEAGUE_TOKEN)).json()["entries"]
    told = [entry["detail"] for entry in entries if entry["what"] == "verdict"]
    assert [detail["verdict"] for detail in told] == ["good", "bad", "good", "bad"]
    assert told[0]["caller"] == "colleague"
    assert "ghp_" not in json.dumps(told)


def test_a_verdict_that_is_none_or_not_ones_own_is_refused(functions: Functions, over: list[Played]) -> None:
    task = over[0].task
    assert functions.judge(task, {"verdict": "good"}, STRANGER_TOKEN) == 404
    assert functions.judge(task, {"verdict": "good"}, READ_ONLY_TOKEN) == 403
    assert functions.judge(task, {"verdict": "good"}, mint_task_token(TOKEN_SECRET, task, 1)) == 401
    assert functions.judge(task, {"verdict": "fine"}) == 400
    assert functions.judge(task, {"verdict": "good", "note": "x" * 1001}) == 400
    assert functions.judge(task, {"verdict": "good", "more": "x"}) == 400
    assert functions.judge(task, {}) == 400


def facteur(stage: Stage, *arguments: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "FACTEUR_POSTGRES_DSN": stage.dsn}
    command = [sys.executable, "-m", "shared.cli.main", "memory", "lift", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_scope_that_is_off_shows_nothing_until_somebody_switches_it_on(
    functions: Functions, stage: Stage, over: list[Played]
) -> None:
    def next_task() -> tuple[list[str], Any]:
        while is_held_out(task := stage.accept(PROMPT.format("next"), repository=REPOSITORY), SHARE):
            pass
        stage.embed(task)
        return functions.launch(task), functions.ask(task)

    prompt, asked = next_task()
    assert (prompt, asked["results"], asked["switchedOff"]) == ([], [], True)
    scope = f"default:{REPOSITORY}"
    told = facteur(stage)
    assert (told.returncode, told.stderr) == (0, "")
    assert scope in told.stdout and "-100.0 points (" in told.stdout and "off since" in told.stdout
    (listed,) = json.loads(facteur(stage, "--json", "--repository", REPOSITORY).stdout)
    assert listed == {"scope": scope, **functions.lift()[0]}
    assert facteur(stage, "--switch-on", "default:o/other").returncode == 1
    assert facteur(stage, "--switch-on", scope).returncode == 0
    for _ in range(20):
        prompt, asked = next_task()
        assert "switchedOff" not in asked
        if asked["results"]:
            break
    else:
        pytest.fail("nothing was shown to twenty tasks")
    (lift,) = functions.lift()
    assert (lift["off"], lift["success"], lift["tasks"]) == (None, "insufficient data", {"treated": 0, "holdout": 0})
