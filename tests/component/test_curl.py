"""The container of sh and curl in docs/runner.md, on the real callback and memory-query."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import UUID

import pytest

from shared.domain.run import RunState
from shared.local.state import free_port
from tests.architecture.markdown import fences
from tests.component.conftest import Stage
from tests.component.functions import Function, Sink, await_health, end, running, settings, start

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
PROMPT = 'Say "hello"\n\tand mind the \\ and the é.'


@pytest.fixture(scope="module")
def callback(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    port = free_port()
    env = settings(stage.dsn, module_sink.url, folder) | {"FACTEUR_CALLBACK_URL": f"http://127.0.0.1:{port}"}
    function = start("callback", env, folder / "callback.log", port)
    try:
        await_health(function)
        yield function
    finally:
        end(function)


@pytest.fixture(scope="module")
def memory(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    with running("memory-query", settings(stage.dsn, module_sink.url, folder), folder / "memory.log") as function:
        yield function


def script() -> str:
    (found,) = [block for block in fences("docs/runner.md", "sh") if block.startswith("#!/bin/sh")]
    return found


def contract(task: UUID, headers: Mapping[str, str], callback: str, memory: str, folder: Path) -> dict[str, str]:
    (folder / "token").write_text(headers["Authorization"].removeprefix("Bearer "))
    (folder / "prompt").write_text(PROMPT, "utf-8")
    return {
        "PATH": os.environ["PATH"],
        "NO_PROXY": "127.0.0.1",
        "TMPDIR": str(folder),
        "CODEX_TASK_ID": str(task),
        "CODEX_ATTEMPT": "1",
        "CODEX_PROMPT_FILE": str(folder / "prompt"),
        "CODEX_CALLBACK_URL": f"{callback}/v1/codex/tasks/{task}",
        "CODEX_CALLBACK_TOKEN_FILE": str(folder / "token"),
        "CODEX_MEMORY_ENDPOINT": f"{memory}/v1/codex/tasks/{task}/memory",
    }


def run(env: Mapping[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    command = ["sh", "-c", script()]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_the_script_of_the_documents_runs_a_task(
    stage: Stage, callback: Function, memory: Function, tmp_path: Path
) -> None:
    stage.remember("Say hello to the world.")
    task, headers = stage.launch("Say hello.")
    done = run(contract(task, headers, callback.url, memory.url, tmp_path), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    events = stage.rows(
        "SELECT sequence, event_type, content FROM codex_kb.codex_task_events WHERE task_id = %(task)s "
        "ORDER BY sequence",
        task,
    )
    assert [(event["sequence"], event["event_type"]) for event in events] == [
        (1, "progress"),
        (2, "progress"),
        (3, "artifact"),
        (4, "completed"),
    ]
    assert events[0]["content"] == "asked: " + PROMPT.replace("\n\t", "  ")
    assert events[1]["content"] == "memories: 1"
    assert stage.status(task) == (RunState.SUCCEEDED, "")
    (artifact,) = stage.rows("SELECT id, metadata FROM codex_kb.artifacts WHERE task_run_id = %(task)s", task)
    assert (artifact["metadata"]["name"], artifact["metadata"]["size"]) == ("hello.txt", 6)
    assert events[2]["content"] == {"artifactId": str(artifact["id"]), "name": "hello.txt"}


def test_run_again_it_finds_that_the_attempt_is_over(
    stage: Stage, callback: Function, memory: Function, tmp_path: Path
) -> None:
    task, headers = stage.launch("Say hello.")
    env = contract(task, headers, callback.url, memory.url, tmp_path)
    assert run(env, tmp_path).returncode == 0
    (tmp_path / "prompt").write_text("Something else.")
    again = run(env | {"CODEX_ATTEMPT": "2"}, tmp_path)
    assert (again.returncode, again.stderr) == (75, "this attempt is over: 409\n")
    (tmp_path / "token").write_text(json.dumps("wrong"))
    refused = run(env, tmp_path)
    assert (refused.returncode, refused.stderr) == (75, "this attempt is over: 401\n")


def test_without_its_prompt_it_reports_that_it_failed(
    stage: Stage, callback: Function, memory: Function, tmp_path: Path
) -> None:
    task, headers = stage.launch("Say hello.")
    env = contract(task, headers, callback.url, memory.url, tmp_path)
    (tmp_path / "prompt").unlink()
    assert run(env, tmp_path).returncode == 1
    assert stage.status(task) == (RunState.FAILED, "the script broke off")
