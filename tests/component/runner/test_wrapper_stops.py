"""However an agent has to stop, it does, with all that it started, and the task is told why."""

import signal
import time
from uuid import uuid4

import pytest

from tests.component.runner.callback_server import Callback
from tests.component.runner.container import Container, eventually
from tests.component.runner.wrapping import kill, processes_with, python, run, wrapped

# Says when it is ready; ends by itself long after the test.
WAITS = "import sys, time; print('ready', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAITS


def ready(callback: Callback) -> None:
    eventually(lambda: any("ready" in str(said) for said in callback.said("log")), "the agent is ready")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_passed_on_and_ends_the_task(
    callback: Callback, container: Container, number: int, code: int
) -> None:
    program = f"""
import signal, sys, time
signal.signal({number:d}, lambda *_: (print("told", flush=True), sys.exit(0)))
{WAITS.partition("; ")[2]}
"""
    with wrapped(container, python(program)) as process:
        ready(callback)
        process.send(number)
        assert process.wait() == code
    assert "told\n" in "".join(said["text"] for said in callback.said("log"))
    assert callback.kinds.count("failed") == 1
    assert callback.said("failed") == ["terminated"]


def test_an_agent_that_ignores_a_signal_is_killed_in_time(callback: Callback, container: Container) -> None:
    with wrapped(container, python(STUBBORN)) as process:
        ready(callback)
        began = time.monotonic()
        process.send(signal.SIGTERM)
        assert process.wait() == 143
        assert time.monotonic() - began < 10
    assert callback.said("failed") == ["terminated"]


def test_a_termination_while_the_callback_hangs_keeps_everything_for_later(
    callback: Callback, container: Container
) -> None:
    with wrapped(container, python("print('early', flush=True); " + WAITS)) as process:
        ready(callback)
        callback.hangs.set()
        process.send(signal.SIGTERM)
        began = time.monotonic()
        assert process.wait() == 143
        assert time.monotonic() - began < 10
    callback.hangs.clear()
    assert run(container, ["true"]) == 75
    assert callback.said("failed") == ["terminated"]
    assert callback.sequences == list(range(1, len(callback.events) + 1))


def test_the_deadline_ends_an_agent_that_hangs_while_there_is_time_to_say_so(
    callback: Callback, container: Container
) -> None:
    began = time.monotonic()
    container.set_deadline(20)
    assert run(container, python(WAITS)) == 124
    assert time.monotonic() - began > 12
    assert callback.said("failed") == ["deadline: the agent was not done in time, and was ended"]


def test_a_deadline_that_has_passed_is_told(callback: Callback, container: Container) -> None:
    container.set_deadline(-1)
    assert run(container, python(WAITS), "--memories", "0") == 124
    assert callback.kinds[-1] == "failed"


@pytest.mark.parametrize("status", [401, 409])
def test_an_agent_whose_attempt_is_over_is_stopped_at_once(
    callback: Callback, container: Container, status: int
) -> None:
    mark = uuid4().hex
    with wrapped(container, [*python(STUBBORN), mark], "--heartbeat", "0.2") as process:
        ready(callback)
        callback.answer_with = status
        assert process.wait() == 75
    assert processes_with(mark) == []
    assert "facteur: " in container.said
    assert not {"completed", "failed"} & set(callback.kinds)


@pytest.mark.parametrize("how", ["exit", "kill", "terminate"])
def test_nothing_that_the_agent_started_lives_on(callback: Callback, container: Container, how: str) -> None:
    mark = uuid4().hex
    # One in a session of its own, one whose parent has gone, one in the group.
    program = f"""
import os, signal, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(60)", {mark!r}]
subprocess.Popen(sleep, start_new_session=True)
subprocess.run([sys.executable, "-c", f"import subprocess; subprocess.Popen({{sleep}}, start_new_session=True)"])
subprocess.Popen(sleep)
print("ready", flush=True)
if {how!r} == "kill": os.kill(os.getpid(), signal.SIGKILL)
time.sleep(60 if {how!r} == "terminate" else 0)
"""
    with wrapped(container, python(program)) as process:
        ready(callback)
        if how == "terminate":
            process.send(signal.SIGTERM)
        assert process.wait() == {"exit": 0, "kill": 137, "terminate": 143}[how]
    assert processes_with(mark) == []
    assert callback.kinds[-1] == ("completed" if how == "exit" else "failed")


def test_an_agent_does_not_outlive_a_wrapper_that_is_killed(callback: Callback, container: Container) -> None:
    mark = uuid4().hex
    with wrapped(container, [*python(WAITS), mark]) as process:
        ready(callback)
        agent = [pid for pid in processes_with(mark) if pid != process.pid]
        try:
            assert agent
            process.send(signal.SIGKILL)
            eventually(lambda: processes_with(mark) == [], "the agent is gone")
        finally:
            kill([pid for pid in processes_with(mark) if pid in agent])


def test_orphans_that_end_leave_no_zombies_while_the_agent_works(callback: Callback, container: Container) -> None:
    program = """
import os, subprocess, sys, time
orphan = "import subprocess, sys; print(subprocess.Popen(['true']).pid)"
pid = subprocess.run([sys.executable, "-c", orphan], stdout=subprocess.PIPE).stdout.decode().strip()
until = time.monotonic() + 60
while os.path.exists(f"/proc/{pid}") and time.monotonic() < until: time.sleep(0.05)
print(os.path.exists(f"/proc/{pid}"))
"""
    assert run(container, python(program)) == 0
    assert callback.said("completed") == ["False"]


def test_a_process_that_keeps_the_pipe_open_is_not_waited_for(callback: Callback, container: Container) -> None:
    ended = container.folder / "ended"
    assert run(container, ["sh", "-c", f"sleep 600 & echo done; touch {ended}"]) == 0
    assert time.time() - ended.stat().st_mtime < 10
    assert callback.said("completed") == ["done"]
