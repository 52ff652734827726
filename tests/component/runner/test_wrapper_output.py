"""Whatever an agent writes, it is told in few events, and all of it, while there is room."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.component.runner.callback_server import Callback
from tests.component.runner.container import Container, Process, eventually
from tests.component.runner.test_wrapper import logged
from tests.component.runner.wrapping import playing, python, recorded, run, wrapped

MANY = "for n in range(0, 1000000, 1000): print('\\n'.join(map(str, range(n, n + 1000))))"


def test_a_million_short_lines_are_few_events_and_little_memory(callback: Callback, container: Container) -> None:
    seen = container.folder / "seen"
    wait = f"while not os.path.exists({str(seen)!r}): time.sleep(0.05)"
    program = f"{MANY}\nimport os, sys, time\nprint('ready', flush=True); sys.stderr.close()\n{wait}"
    with wrapped(container, python(program)) as process:
        eventually(lambda: "ready" in logged(callback, "stdout")[-10:], "everything is told", 90)
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        seen.touch()
        assert process.wait() == 0
    assert logged(callback, "stdout").splitlines() == [*map(str, range(1_000_000)), "ready"]
    assert callback.kinds.count("log") < 600
    assert peak and int(peak[1]) < 120_000


def test_lines_arrive_while_the_agent_works(callback: Callback, container: Container) -> None:
    with wrapped(container, python("import time; print('early', flush=True); time.sleep(60)")):
        eventually(lambda: logged(callback, "stdout") == "early\n", "the first line")


def test_a_huge_line_arrives_in_pieces(callback: Callback, container: Container) -> None:
    assert run(container, python("print('x' * 3_000_000); print('end')")) == 0
    assert logged(callback, "stdout") == "x" * 3_000_000 + "\nend\n"


def test_bytes_that_are_no_text_arrive_as_far_as_they_can(callback: Callback, container: Container) -> None:
    program = "import sys; sys.stdout.buffer.write(bytes(range(256)) + b'\\n' + b'tail without end')"
    assert run(container, python(program)) == 0
    told = logged(callback, "stdout")
    assert "ABC" in told and "\ufffd" in told and "\x00" not in told
    assert told.endswith("tail without end\n")


def test_lines_that_are_no_json_are_told_between_those_that_are(callback: Callback, container: Container) -> None:
    stream = 'warning: odd\n{"type": "item.completed", "item": {"type": "agent_message", "text": "Hi"}}\n[1]\n{"a":\n\n'
    assert run(container, playing(container, stream)) == 0
    told = [event["content"] for event in callback.events.values() if event["eventType"] in ("log", "progress")]
    assert told == [
        {"stream": "stdout", "text": "warning: odd\n"},
        {"kind": "message", "text": "Hi"},
        {"stream": "stdout", "text": '[1]\n{"a":\n\n'},
    ]


def test_a_command_with_megabytes_of_output_is_told_with_a_cut_in_it(callback: Callback, container: Container) -> None:
    item = {"type": "command_execution", "command": "cat", "status": "completed", "exit_code": 0}
    item["aggregated_output"] = "first\n" + "\x00" * 1_000_000 + "\nlast"
    stream = json.dumps({"type": "item.completed", "item": item}) + "\n"
    assert run(container, playing(container, stream)) == 0
    output = callback.said("progress")[0]["output"]
    assert output.startswith("first\n") and output.endswith("\nlast")
    assert "characters are cut out here" in output
    assert len(output) < 20_000


def test_a_file_change_and_commands_of_every_kind_are_told(callback: Callback, container: Container) -> None:
    assert run(container, playing(container, recorded("commands-and-file-change"))) == 0
    told = callback.said("progress")
    assert [entry["kind"] for entry in told].count("command") == 9
    changed = [{"path": "/workspace/hello.txt", "change": "update"}, {"path": "/workspace/new.txt", "change": "add"}]
    assert {"kind": "files", "status": "completed", "files": changed, "count": 2} in told
    assert callback.said("completed") == ["Changed."]


def test_a_callback_that_is_away_the_whole_time_holds_nobody_up(callback: Callback, container: Container) -> None:
    callback.stop()
    done = container.folder / "done"
    program = f"for n in range(300): print('x' * 5000, flush=True)\nopen({str(done)!r}, 'w')"
    with wrapped(container, python(program), "--memories", "0") as process:
        eventually(done.exists, "the agent is done")
        callback.start()
        assert process.wait() == 0
    assert logged(callback, "stdout") == ("x" * 5000 + "\n") * 300
    assert callback.sequences == list(range(1, len(callback.events) + 1))


def test_a_callback_that_hangs_holds_nobody_up(callback: Callback, container: Container) -> None:
    done = container.folder / "done"
    program = "import sys; print('ready', flush=True); sys.stdin.read()\nwhile not __import__('os').path.exists("
    program += f"{str(done)!r} + '.go'): pass\n{MANY}\nopen({str(done)!r}, 'w')"
    with wrapped(container, python(program)) as process:
        eventually(lambda: "ready" in logged(callback, "stdout"), "the agent is ready")
        callback.hangs.set()
        (container.folder / "done.go").touch()
        eventually(done.exists, "the agent is done")
        callback.hangs.clear()
        assert process.wait() == 0
    assert logged(callback, "stdout").splitlines()[-1] == "999999"


@pytest.mark.parametrize("status", [429, 503])
def test_back_pressure_loses_nothing(callback: Callback, container: Container, status: int) -> None:
    callback.answer_with, callback.retry_after = status, 1
    with wrapped(container, ["sh", "-c", "echo one; sleep 2; echo two"], "--memories", "0") as process:
        eventually(lambda: len(callback.requests) >= 2, "it came again")
        callback.answer_with = None
        assert process.wait() == 0
    assert logged(callback, "stdout") == "one\ntwo\n"
    assert callback.sequences == list(range(1, len(callback.events) + 1))


def test_an_agent_that_reads_no_prompt_is_none_the_worse(callback: Callback, container: Container) -> None:
    container.prompt.write_text("long\n" * 200_000)
    assert run(container, ["sh", "-c", "exec <&-; echo done"]) == 0
    assert callback.said("completed") == ["done"]


def test_a_wrapper_whose_output_nobody_takes_reports_all_the_same(callback: Callback, container: Container) -> None:
    command = ["sh", "-c", f"{sys.executable} -m shared.runner -- sh -c 'sleep 1; echo one; echo two' | true"]
    with Process(command, container) as process:
        process.wait()
        eventually(lambda: callback.kinds[-1:] == ["completed"], "the end")
    assert logged(callback, "stdout") == "one\ntwo\n"
