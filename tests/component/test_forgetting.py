"""What was forgotten, by command or by age, is found by no question and comes back by no event."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
import redis

from shared.events.catalogue import RunReported, TaskAccepted, announce
from tests.component.conftest import Stage, api_tokens, tick
from tests.component.functions import Function, Sink, running, settings

FACTEUR = str(Path(sys.executable).with_name("facteur"))
WORDS = "Repair the ziggurat drainage pumps before the flood"
VECTOR = f"facteur:vector:facteur-offline-lexical-v1:512:{hashlib.sha256(WORDS.encode()).hexdigest()}"
OLD = "UPDATE codex_kb.codex_task_memory_index SET created_at = now() - interval '31 days' WHERE task_id = %(task)s"


@pytest.fixture(scope="module")
def env(stage: Stage, module_sink: Sink, folder: Path, redis_url: str) -> dict[str, str]:
    own = {"FACTEUR_API_TOKENS": api_tokens(), "FACTEUR_MEMORY_RETENTION": '{"prompt": 30}'}
    return settings(stage.dsn, module_sink.url, folder, redis_url) | own


@pytest.fixture(scope="module")
def embedder(env: dict[str, str], folder: Path) -> Iterator[Function]:
    with running("embedder", env, folder / "embedder-log") as function:
        yield function


@pytest.fixture(scope="module")
def memory(env: dict[str, str], folder: Path) -> Iterator[Function]:
    with running("memory-query", env, folder / "memory-log") as function:
        yield function


def embed(embedder: Function, task: UUID) -> None:
    assert embedder.deliver(announce(TaskAccepted(task), "codex-intake", None)).status == 204


def ask(memory: Function, run: tuple[UUID, dict[str, str]]) -> list[str]:
    """The tasks whose memories are answered."""
    body = json.dumps({"text": WORDS}).encode()
    answer = memory.post(f"/v1/codex/tasks/{run[0]}/memory/query", body, run[1])
    assert answer.status == 200, answer.data
    return [result["provenance"]["taskId"] for result in json.loads(answer.data)["results"]]


def forget(stage: Stage, redis_url: str, *choice: str) -> None:
    own = {"FACTEUR_POSTGRES_DSN": stage.dsn, "FACTEUR_REDIS_URL": redis_url}
    env = {name: value for name, value in os.environ.items() if not name.startswith(("FACTEUR_", "OPENAI_"))} | own
    command = [FACTEUR, "memory", "forget", *choice, "--yes"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_command_forgot_is_not_found_and_does_not_come_back(
    embedder: Function, memory: Function, stage: Stage, redis_url: str
) -> None:
    task, same = stage.accept(WORDS), stage.accept(WORDS, tenant="elsewhere")
    asking, elsewhere = stage.launch("asks"), stage.launch("asks", tenant="elsewhere")
    # Who asks before there is a vector has one made.
    assert ask(memory, asking) == []
    for one in (task, same):
        embed(embedder, one)
    assert ask(memory, asking) == [str(task)]
    cache = redis.Redis.from_url(redis_url)
    assert cache.exists(VECTOR)
    forget(stage, redis_url, "--task", str(task))
    assert not cache.exists(VECTOR)
    assert ask(memory, asking) == []
    embed(embedder, task)
    for event in (announce(RunReported(task, 1, 3), "callback", None), tick(), tick()):
        assert embedder.deliver(event).status == 204
    assert ask(memory, asking) == []
    assert ask(memory, elsewhere) == [str(same)], "its vector is still there"
    forget(stage, redis_url, "--task", str(same))
    assert not stage.rows(
        "SELECT FROM codex_kb.codex_task_memory_vectors WHERE content_hash = sha256(%(words)s)", words=WORDS.encode()
    )


def test_what_is_too_old_goes_with_the_tick_and_does_not_come_back(
    embedder: Function, memory: Function, stage: Stage
) -> None:
    task, young = stage.accept(WORDS, tenant="third"), stage.accept(f"{WORDS} again", tenant="third")
    for one in (task, young):
        embed(embedder, one)
    asking = stage.launch("asks", tenant="third")
    assert set(ask(memory, asking)) == {str(task), str(young)}
    stage.change(OLD, task)
    for _ in range(3):
        assert embedder.deliver(tick()).status == 204
        assert ask(memory, asking) == [str(young)]
        embed(embedder, task)
    assert embedder.log.read_text().count('"memories forgotten"') == 1
