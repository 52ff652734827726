"""What an agent says through the SDK arrives, as it was said."""

import hashlib
from typing import Any

import pytest

from tests.component.runner.callback_server import TASK, TOKEN, Callback
from tests.component.runner.container import Container


def test_five_lines_are_an_agent(callback: Callback, container: Container) -> None:
    code = container.run("""
with Task.from_env() as task:
    task.progress("reading")
    answer = f"{task.id} {task.attempt} {task.prompt.strip()} {len(task.memory(limit=3))}"
    task.complete(answer)
""")
    assert code == 0
    assert [event["eventId"] for event in callback.events.values()] == [f"{TASK}-1-1", f"{TASK}-1-2"]
    assert callback.sequences == [1, 2]
    assert callback.said("progress") == ["reading"]
    assert callback.said("completed") == [f"{TASK} 1 Rename the button. 0"]
    assert callback.questions == [{"path": f"/v1/codex/tasks/{TASK}/memory?limit=3"}]


def test_every_kind_of_report_has_the_shape_of_the_contract(callback: Callback, container: Container) -> None:
    container.run("""
with Task.from_env() as task:
    task.progress("one"); task.log("two"); task.heartbeat(); task.usage(seconds=1.5, files=3)
    task.snapshot("before", "old"); task.snapshot("after", "new"); task.fail("no")
""")
    assert callback.kinds == ["progress", "log", "heartbeat", "usage", "snapshot", "snapshot", "failed"]
    events: list[dict[str, Any]] = list(callback.events.values())
    assert events[2]["content"] is None
    assert events[3]["usage"] == {"seconds": 1.5, "files": 3}
    digest = hashlib.sha256(b"old").hexdigest()
    assert events[4]["snapshot"] == {"type": "before", "content": "old", "digest": digest}
    assert events[6]["content"] == "no"


def test_leaving_the_block_completes(callback: Callback, container: Container) -> None:
    assert container.run("with Task.from_env() as task: pass") == 0
    assert callback.kinds == ["completed"]


def test_an_exception_fails_the_task_and_goes_on_up(callback: Callback, container: Container) -> None:
    code = container.run("""
password = "hunter2"
try:
    with Task.from_env() as task:
        raise KeyError(f"no such thing")
except KeyError as error:
    print("seen", error)
    sys.exit(3)
""")
    assert (code, container.said.strip()) == (3, "seen 'no such thing'")
    assert callback.said("failed") == ["KeyError: 'no such thing'"]


def test_the_token_is_in_no_report_no_output_and_no_file(callback: Callback, container: Container) -> None:
    code = container.run("""
task = Task.from_env()
token = open(task._environment.token_file).read().strip()
with task:
    task.log(f"header was {token}")
    print(task, task._environment, vars(task), vars(task._client), vars(task._delivery))
    task.snapshot("before", token)
    raise ValueError(token)
""")
    assert code == 1
    assert callback.said("log") == ["header was [token]"]
    assert callback.said("failed") == ["ValueError: [token]"]
    assert TOKEN not in str(callback.events)
    assert "Task('" in container.said
    assert all(TOKEN.encode() not in file.read_bytes() for file in (container.folder / "spool").iterdir())


def test_memories_come_with_score_snippet_metadata_and_provenance(callback: Callback, container: Container) -> None:
    callback.memories = [{"score": 0.5, "snippet": "s", "metadata": {"a": 1}, "provenance": {"taskId": "t"}}]
    container.run("""
with Task.from_env() as task:
    near = task.memory(limit=2, namespace="shop & co", resource_kind="Deployment")[0]
    asked = task.ask("which button?", limit=4)[0]
    assert near == asked == Memory(0.5, "s", {"a": 1}, {"taskId": "t"})
""")
    assert callback.kinds == ["completed"]
    base = f"/v1/codex/tasks/{TASK}/memory"
    assert callback.questions == [
        {"path": f"{base}?limit=2&namespace=shop+%26+co&resourceKind=Deployment"},
        {"path": f"{base}/query", "text": "which button?", "limit": 4},
    ]


def test_memory_that_is_away_is_said_and_ends_nothing(callback: Callback, container: Container) -> None:
    container.env["CODEX_MEMORY_ENDPOINT"] = "http://127.0.0.1:1/memory"
    container.run("""
with Task.from_env() as task:
    try: task.ask("anything")
    except Away as away: task.complete(str(away))
""")
    assert callback.said("completed") == ["no answer (ConnectionRefusedError)"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("00-" + "a" * 32 + "-" + "b" * 16 + "-01", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"),
        ("00-" + "0" * 32 + "-" + "b" * 16 + "-01", None),
        ("garbage\r\nX-Evil: 1", None),
    ],
)
def test_only_a_valid_trace_goes_with_every_request(
    callback: Callback, container: Container, given: str, sent: str | None
) -> None:
    container.env["TRACEPARENT"] = given
    container.run("with Task.from_env() as task: task.memory(); task.artifact(b'x', 'x')")
    assert len(callback.requests) == 6
    assert {headers.get("traceparent") for _, _, headers in callback.requests} == {sent}


def test_a_rotated_token_is_used_from_the_next_request_on(callback: Callback, container: Container) -> None:
    program = """
with Task.from_env() as task:
    task.progress("old")
    step("old")
    task.progress("new")
"""
    with container.start(program) as process:
        process.reached("old")
        callback.token = "fct_1_" + "n" * 43
        container.token.write_text(callback.token)
        process.go_on()
        assert process.wait() == 0
    assert callback.kinds == ["progress", "progress", "completed"]


def test_a_wrong_token_stops_the_agent_with_a_clear_error(callback: Callback, container: Container) -> None:
    callback.token = "another"
    code = container.run("""
with Task.from_env() as task:
    try: task.progress("one")
    except Refused as error: print(error)
    task.progress("two")
""")
    assert code == 1
    assert "\nthe task token is not accepted (401)" in container.said
    assert "shared.runner.errors.Refused: the task token is not accepted (401)" in container.said
    assert (len(callback.requests), callback.events, TOKEN in container.said) == (1, {}, False)


def test_a_fenced_attempt_sends_nothing_more(callback: Callback, container: Container) -> None:
    callback.answer_with = 409
    code = container.run("""
with Task.from_env() as task:
    for call in (lambda: task.progress("one"), lambda: task.log("two"), lambda: task.complete("three")):
        try: call()
        except Fenced: print("fenced")
    raise SystemExit(5)
""")
    assert code == 5
    assert [line for line in container.said.splitlines() if line == "fenced"] == ["fenced"] * 3
    assert len(callback.requests) == 1


def test_nothing_follows_the_end(callback: Callback, container: Container) -> None:
    code = container.run("""
with Task.from_env() as task:
    task.complete("done")
    task.progress("late")
""")
    assert code == 1
    assert "already" in container.said
    assert callback.kinds == ["completed"]


def test_text_that_cannot_be_stored_is_cleaned_and_long_text_is_cut(callback: Callback, container: Container) -> None:
    container.run(r"""
with Task.from_env() as task:
    task.progress("a\x00b\udc80c")
    task.log("x" * 1_000_000)
    try: task.snapshot("before", "x" * 1_000_000)
    except Unacceptable as error: task.fail(str(error))
""")
    assert callback.said("progress") == ["a\ufffdb?c"]
    assert callback.said("log")[0].endswith("… (cut; 1000000 characters in all)")
    assert callback.said("failed") == ["an event holds at most 524288 bytes: make it an artifact"]


@pytest.mark.parametrize("wrong", ["task.usage(a=float('nan'))", "task.usage(a='1')", "task.snapshot('during', '')"])
def test_a_wrong_call_is_said_and_numbers_nothing(callback: Callback, container: Container, wrong: str) -> None:
    container.run(f"""
with Task.from_env() as task:
    try: {wrong}
    except RunnerError: task.complete("said")
""")
    assert (callback.said("completed"), callback.sequences) == (["said"], [1])


def test_a_callback_that_is_something_else_is_away(callback: Callback, container: Container) -> None:
    container.set_deadline(0.3)
    container.env["CODEX_CALLBACK_URL"] = f"{callback.url}/memory"
    program = """
import atexit
began = time.monotonic()
atexit.register(lambda: print("took", time.monotonic() - began))
with Task.from_env() as task: pass
"""
    assert container.run(program) == 1
    assert "the callback is away" in container.said
    assert float(container.said.split("took ")[1].split()[0]) < 10
