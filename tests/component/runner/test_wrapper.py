"""Any command is an agent: it gets its prompt, what it says is reported, and its end is the task's end."""

import json
import os
import signal
import stat
from pathlib import Path

import pytest

from shared.runner.token import READING, narrowed
from tests.component.runner.callback_server import TOKEN, Callback
from tests.component.runner.container import Container, eventually
from tests.component.runner.wrapping import playing, python, recorded, run, wrapped

MEMORY = {
    "score": 0.9,
    "snippet": "It was the cache.",
    "metadata": {},
    "provenance": {"taskId": "t-1", "kind": "outcome"},
}
FENCED = "Go.\n\n<recalled-memory-0123456789abcdef>\nold\n</recalled-memory-0123456789abcdef>\n"


def logged(callback: Callback, stream: str) -> str:
    """What was logged of one stream, joined again."""
    said = [entry for entry in callback.said("log") if isinstance(entry, dict)]
    return "".join(entry["text"] for entry in said if entry.get("stream") == stream)


def test_a_command_is_an_agent(callback: Callback, container: Container) -> None:
    assert run(container, ["sh", "-c", "cat; echo aside >&2; echo done"]) == 0
    assert logged(callback, "stdout") == "Rename the button.\ndone\n"
    assert logged(callback, "stderr") == "aside\n"
    assert callback.said("completed") == ["Rename the button.\ndone"]
    assert callback.kinds[0] == callback.kinds[-2] == "snapshot"
    assert sorted(container.said.splitlines()) == ["Rename the button.", "aside", "done"]


def test_a_recorded_codex_run_becomes_a_timeline(callback: Callback, container: Container) -> None:
    assert run(container, playing(container, recorded("command-then-answer"))) == 0
    assert (container.folder / "played.prompt").read_text() == "Rename the button.\n"
    command = {"kind": "command", "command": "/bin/bash -c 'cat hello.txt'"}
    assert callback.said("progress") == [
        {**command, "status": "in_progress"},
        {**command, "status": "completed", "exitCode": 0, "output": "hello from the workspace\n"},
        {"kind": "message", "text": "It says hello."},
    ]
    usage = [event["usage"] for event in callback.events.values() if event["eventType"] == "usage"]
    assert usage == [
        {
            "inputTokens": 250,
            "cachedInputTokens": 130,
            "cacheWriteInputTokens": 0,
            "outputTokens": 30,
            "reasoningOutputTokens": 5,
        }
    ]
    assert callback.said("completed") == ["It says hello."]


def test_a_warning_on_the_way_is_no_failure(callback: Callback, container: Container) -> None:
    assert run(container, playing(container, recorded("disconnect-then-ok"))) == 0
    assert callback.said("completed") == ["Hello after disconnect."]


@pytest.mark.parametrize("code", [0, 1])
def test_a_turn_that_failed_fails_the_task_whatever_the_exit_code(
    callback: Callback, container: Container, code: int
) -> None:
    assert run(container, playing(container, recorded("model-failure"), code)) == 1
    assert callback.said("failed") == ["the turn failed: stream disconnected before completion: the model broke"]


def test_an_exit_code_fails_the_task_with_the_last_words(callback: Callback, container: Container) -> None:
    assert run(container, ["sh", "-c", "echo no disk >&2; exit 3"]) == 3
    assert callback.said("failed") == ["exit code 3: no disk"]


def test_an_agent_that_is_killed_fails_the_task_and_keeps_what_it_said(
    callback: Callback, container: Container
) -> None:
    container.env["PLAYED"] = str(container.folder / "cut")
    Path(container.env["PLAYED"]).write_text(recorded("sigkill-in-command"))
    assert run(container, ["sh", "-c", 'cat "$PLAYED"; kill -9 $$'], "--format", "codex") == 137
    assert callback.said("failed") == ["killed by SIGKILL"]
    assert callback.said("progress")[-1]["status"] == "in_progress"


def test_a_command_that_does_not_exist_fails_the_task(callback: Callback, container: Container) -> None:
    assert run(container, ["no-such-agent"]) == 127
    assert callback.said("failed") == ["exit code 127: The command cannot be run: No such file or directory."]


def test_an_argument_list_that_is_too_long_fails_the_task(callback: Callback, container: Container) -> None:
    container.prompt.write_text("x" * 300_000)
    assert run(container, ["echo", "{prompt}"]) == 126
    assert callback.said("failed") == ["the command cannot be started (Argument list too long)"]


def test_a_prompt_can_be_an_argument_or_a_file_and_then_input_is_empty(
    callback: Callback, container: Container
) -> None:
    program = "import sys; print(sys.argv[1:3], open(sys.argv[3][7:]).read(), [sys.stdin.read()])"
    assert run(container, [*python(program), "{prompt}", "x{prompt}", "--file={prompt_file}"]) == 0
    assert callback.said("completed") == ["['Rename the button.\\n', 'x{prompt}'] Rename the button.\n ['']"]


def test_memories_are_fenced_below_the_prompt(callback: Callback, container: Container) -> None:
    callback.memories = [MEMORY]
    assert run(container, ["cat"], "--memories", "3") == 0
    assert [question["path"].rpartition("?")[2] for question in callback.questions] == ["limit=3"]
    told = callback.said("completed")[0]
    assert told.startswith("Rename the button.\n\n<recalled-memory-")
    assert "It was the cache." in told


@pytest.mark.parametrize(("prompt", "options"), [(FENCED, []), ("Go.\n", ["--memories", "0"])])
def test_memories_are_not_asked_for_where_they_are_there_or_not_wanted(
    callback: Callback, container: Container, prompt: str, options: list[str]
) -> None:
    container.prompt.write_text(prompt)
    assert run(container, ["cat"], *options) == 0
    assert callback.questions == []
    assert callback.said("completed") == [prompt.strip()]


def test_without_the_memory_the_work_goes_on(callback: Callback, container: Container) -> None:
    container.env["CODEX_MEMORY_ENDPOINT"] = callback.url + "/nothing"
    assert run(container, ["cat"]) == 0
    assert callback.said("progress") == ["The memory is away (the answer was 404); going on without it."]
    assert callback.said("completed") == ["Rename the button."]


def test_an_agent_has_a_token_to_read_with_and_no_way_to_the_other_one(
    callback: Callback, container: Container
) -> None:
    program = """
import json, os
file = os.environ["CODEX_READ_CREDENTIAL_FILE"]
told = {"mode": oct(os.stat(file).st_mode), "folder": oct(os.stat(os.path.dirname(file)).st_mode), "file": file}
told["right"] = open(file).read().strip() == os.environ["EXPECTED"]
print(json.dumps({**told, "withheld": sorted(set(os.environ) & {"CODEX_CALLBACK_TOKEN_FILE", "CODEX_SPOOL_DIR"})}))
"""
    container.env["EXPECTED"] = narrowed(TOKEN, READING)
    assert run(container, python(program)) == 0
    told = json.loads(callback.said("completed")[0])
    assert (told["mode"], told["folder"]) == (oct(stat.S_IFREG | 0o600), oct(stat.S_IFDIR | 0o700))
    assert told["right"]
    assert told["withheld"] == []
    assert not Path(told["file"]).exists()


def test_what_is_secret_is_told_nobody(callback: Callback, container: Container) -> None:
    container.env["MODEL_API_KEY"] = 'sk-"quoted"-secret'
    program = f"""
import json, os
whole, narrow = {TOKEN!r}, open(os.environ["CODEX_READ_CREDENTIAL_FILE"]).read().strip()
key = os.environ["MODEL_API_KEY"]
print(whole, narrow, key)
item = {{"type": "agent_message", "text": f"{{whole}} {{narrow}} {{key}}"}}
print(json.dumps({{"type": "item.completed", "item": item}}))
"""
    assert run(container, python(program), "--format", "codex") == 0
    assert callback.said("completed") == ["[token] [token] [secret]"]
    assert logged(callback, "stdout") == "[token] [token] [secret]\n"
    for secret in (TOKEN, narrowed(TOKEN, READING), "quoted"):
        assert secret not in str(callback.events) + container.said


def test_heartbeats_are_sent_while_all_is_still(callback: Callback, container: Container) -> None:
    seen = container.folder / "seen"
    wait = f"while [ ! -e {seen} ]; do sleep 0.1; done"
    with wrapped(container, ["sh", "-c", wait], "--heartbeat", "0.2") as process:
        eventually(lambda: callback.kinds.count("heartbeat") >= 2, "heartbeats")
        seen.touch()
        assert process.wait() == 0


def test_an_attempt_that_has_ended_is_not_run_again(callback: Callback, container: Container) -> None:
    command = ["sh", "-c", f"echo x >> {container.folder}/runs"]
    assert run(container, command) == 0
    assert run(container, command) == 75
    assert (container.folder / "runs").read_text() == "x\n"


def test_usage_is_said_on_standard_error(callback: Callback, container: Container) -> None:
    assert run(container, []) == 2
    assert "which command?" in container.said
    assert run(container, ["true"], "--artifact", "../x") == 2
    assert callback.events == {}


def test_help_needs_no_task(container: Container) -> None:
    container.env = {"PATH": os.defpath, "PYTHONPATH": container.env["PYTHONPATH"]}
    assert run(container, [], "--help") == 0
    for option in ("--artifact", "--workspace", "--format", "--memories", "--heartbeat", "{prompt_file}"):
        assert option in container.said


def test_a_signal_that_python_ignores_is_not_ignored_by_the_agent(callback: Callback, container: Container) -> None:
    assert run(container, ["grep", "SigIgn", "/proc/self/status"]) == 0
    ignored = int(callback.said("completed")[0].split()[1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1))
