"""`facteur memory forget` as a person meets it: the real command, on a real database and a real Redis."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import redis

from shared.domain.ids import stable_id
from shared.domain.memory import Recalled, fence
from shared.domain.memory_index import Filters, MemoryRow, Question
from shared.domain.offer import Offered, Standing, offer
from shared.domain.policy import Verdict
from shared.domain.run import RunState
from shared.events.catalogue import TaskFinished, announce
from shared.local.state import free_port
from shared.postgres.database import Database
from shared.postgres.launches import PgLaunches
from shared.postgres.memories import PgMemories
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.memory_search import PgMemorySearch
from shared.postgres.runs import PgRuns
from tests.architecture.markdown import fences
from tests.integration.postgres.conftest import AcceptTask, launch
from tests.patience import PatientVectors

FACTEUR = str(Path(sys.executable).with_name("facteur"))
MODEL = "model:2"
SECRET = "the private words"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**own: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("FACTEUR_", "OPENAI_"))} | own


@pytest.fixture
def run(dsn: str) -> Run:
    """Run `facteur memory forget` with arguments on the database of the test, without a terminal."""

    def run(*arguments: str, **own: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [FACTEUR, "memory", "forget", *arguments],
            env=environment(FACTEUR_POSTGRES_DSN=dsn, **own),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def remember(accept: AcceptTask, database: Database) -> Callable[..., UUID]:
    """A task whose prompt is in the memory index."""
    PgMemoryModels(database).in_use(MODEL)

    def remember(name: str = "one", content: str = SECRET, **changes: object) -> UUID:
        task = accept(name, prompt=content, **changes).run_id
        (text,) = PgMemories(database).missing([task], 9)
        identity = stable_id("memory", str(task))
        row = MemoryRow(identity, text, 0, content, content.encode(), (1.0, 0.0), MODEL)
        PgMemories(database).store([row], None, None)
        return task

    return remember


@pytest.fixture
def show(accept: AcceptTask, database: Database) -> Callable[[str], UUID]:
    """A run that was shown everything in its prompt."""

    def show(name: str) -> UUID:
        run = launch(database, accept(name, prompt="do it").run_id, f"job-{name}")
        found: list[Recalled] = PgMemorySearch(database).search(Question(MODEL, SECRET), Filters("default", uuid4()), 9)
        offered = Offered(offer(run.id, [one.memory.id for one in found], 9, 0, Standing()), found, found)
        prompt = f"do it\n\n{fence(found, 'n' * 32, 9999).text}\n"
        PgLaunches(database).brief(run, prompt, offered, None, Verdict(True, "ci", "", "v1"))
        return run.id

    return show


def memories(database: Database) -> int:
    return len(database.all("SELECT FROM codex_kb.codex_task_memory_index", {}))


def printed(done: "subprocess.CompletedProcess[str]") -> str:
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_it_says_what_goes_who_saw_it_and_what_went(
    run: Run, remember: Callable[..., UUID], show: Callable[[str], UUID], database: Database
) -> None:
    task = remember()
    seer = show("seer")
    lines = printed(run("--task", str(task), "--yes")).splitlines()
    assert lines[:2] == ["1 memory of 1 task of tenant default: prompt 1", "seen by:"]
    assert re.fullmatch(rf"  {seer}  attempt 1  \S+Z  1 memory in its prompt file, not over yet", lines[2])
    assert lines[3:] == [
        "the text stays in these prompt files, unless --purge-prompts takes it out once a run is over",
        "forgotten: 1 memory and 1 vector; 1 task will not be remembered again",
        "FACTEUR_REDIS_URL is not set: vectors in Redis, if there are any, expire within a day",
    ]
    assert memories(database) == 0
    assert printed(run("--task", str(task), "--yes")) == "nothing to forget: it is forgotten already\n"


def test_as_json_who_saw_it_is_told_with_what_was_done(
    run: Run, remember: Callable[..., UUID], show: Callable[[str], UUID]
) -> None:
    remember(repository="o/r")
    seer = show("seer")
    asked = run("--source", "o/r", "--json")
    assert (asked.returncode, asked.stderr) == (2, "nobody can be asked here: repeat it with --yes\n")
    done, again = (json.loads(printed(run("--source", "o/r", "--json", "--yes"))) for _ in range(2))
    before = json.loads(asked.stdout)
    assert (before["done"], before["memories"], before["vectors"]) == (False, {"prompt": 1}, 0)
    assert before["seenBy"] == done["seenBy"]
    assert [(one["taskId"], one["attempt"], one["channel"]) for one in done["seenBy"]] == [(str(seer), 1, "prompt")]
    assert (done["done"], done["memories"], done["tasks"], done["vectors"]) == (True, {"prompt": 1}, 1, 1)
    assert (again["done"], again["memories"], again["tasks"], again["seenBy"]) == (False, {}, 0, [])


def test_prompt_files_are_purged_at_once_or_later_and_told_apart(
    run: Run, remember: Callable[..., UUID], show: Callable[[str], UUID], database: Database
) -> None:
    task = remember()
    ended, going = show("ended"), show("going")
    (over,) = [one.run for one in PgRuns(database).open() if one.run.id == ended]
    PgRuns(database).finish(over, RunState.SUCCEEDED, "", announce(TaskFinished(ended, "succeeded"), "x", None))
    first = printed(run("--task", str(task), "--yes"))
    assert "purged" not in first
    assert "1 prompt file purged, 1 once their runs are over" in printed(run("--task", str(task), "--purge-prompts"))
    assert printed(run("--task", str(task), "--purge-prompts")).startswith("nothing to forget")
    kept = database.all("SELECT task_id, prompt FROM codex_kb.codex_task_briefs", {})
    assert {row["task_id"]: SECRET in row["prompt"] for row in kept} == {ended: False, going: True}


def test_redis_forgets_the_text_and_the_prompt_that_was_asked_with(
    run: Run, remember: Callable[..., UUID], redis_url: str
) -> None:
    redis.Redis.from_url(redis_url).flushall()
    task = remember(content="  my words: are private\n")
    cache = PatientVectors(redis_url)
    for text in ("  my words: are private\n", "another question"):
        cache.put(MODEL, text, [1.0, 0.0])
    assert "vectors in Redis dropped" in printed(run("--task", str(task), "--yes", FACTEUR_REDIS_URL=redis_url))
    assert cache.get(MODEL, "  my words: are private\n") is None
    assert cache.get(MODEL, "another question")


def test_without_redis_it_is_forgotten_and_said(run: Run, remember: Callable[..., UUID], database: Database) -> None:
    away = f"redis://127.0.0.1:{free_port()}"
    said = printed(run("--task", str(remember()), "--yes", FACTEUR_REDIS_URL=away))
    assert said.endswith("Redis is away: vectors there expire within a day\n")
    assert memories(database) == 0


def test_what_is_in_several_tenants_needs_one(run: Run, remember: Callable[..., UUID], database: Database) -> None:
    for name, tenant in (("a", "one"), ("b", "other\x1b[31m")):
        remember(name, caller="mallory", tenant=tenant)
    done = run("--caller", "mallory", "--yes")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "it is in several tenants, say which with --tenant: one, other?[31m\n"
    printed(run("--caller", "mallory", "--tenant", "one", "--yes"))
    assert memories(database) == 1


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 1), ("y", 0, 0)])
def test_on_a_terminal_it_is_asked_for(
    remember: Callable[..., UUID], database: Database, dsn: str, answer: str, code: int, left: int
) -> None:
    command = [FACTEUR, "memory", "forget", "--task", str(remember()), "--dsn", dsn]
    terminal, end = pty.openpty()
    try:
        os.write(terminal, f"{answer}\n".encode())
        done = subprocess.run(
            command, env=environment(), stdin=end, capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        os.close(terminal)
        os.close(end)
    assert (done.returncode, "Forget it for ever?" in done.stdout) == (code, True), done.stderr
    assert memories(database) == left


def test_wrong_use_forgets_nothing(run: Run, remember: Callable[..., UUID], database: Database) -> None:
    task = str(remember())
    for arguments, code, said in [
        ((), 2, "say what to forget"),
        (("--tenant", "default"), 2, "say what to forget"),
        (("--task", task, "--source", ""), 2, "a caller, a source or a tenant has a name"),
        (("--task", "7"), 2, "32 hexadecimal digits"),
        (("--source", "prompt"), 2, "every task has such a text"),
        (("--task", str(uuid4())), 1, "nothing matches"),
        (("--caller", "nobody"), 1, "nothing matches"),
        (("--task", task, "--tenant", "elsewhere"), 1, "nothing matches"),
        (("--task", task, "--dsn", f"postgresql://u:a-password@127.0.0.1:{free_port()}/x"), 1, "the database is away"),
    ]:
        done = run(*arguments, "--yes")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done
        assert said in done.stderr and "a-password" not in done.stderr
    assert memories(database) == 1


def test_the_document_shows_what_the_command_prints(
    run: Run, remember: Callable[..., UUID], show: Callable[[str], UUID]
) -> None:
    (shown,) = [text for text in fences("docs/operations.md", "text") if "will not be remembered" in text]
    remember(repository="owner/name")
    seer = show("seer")
    said = printed(run("--source", "owner/name", "--yes")).splitlines()
    plain = [re.sub(r"\S+Z ", "TIME ", line.replace(str(seer), "ID")) for line in said[:-1]]
    ids = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    assert plain == [re.sub(r"\S+Z ", "TIME ", re.sub(ids, "ID", line)) for line in shown.splitlines()]
