"""A container that is told to end says so, and is gone in time."""

import signal
import time

import pytest

from tests.component.runner.callback_server import Callback
from tests.component.runner.container import Container, eventually

WORK = """
with Task.from_env() as task:
    task.progress("working")
    step("working")
    task.progress("more")
    print("asleep", flush=True)
    time.sleep(60)
"""


def test_sigterm_fails_the_task(callback: Callback, container: Container) -> None:
    with container.start(WORK) as process:
        process.reached("working")
        process.go_on()
        process.reached("asleep")
        process.send(signal.SIGTERM)
        assert process.wait() == 143
    assert callback.kinds == ["progress", "progress", "failed"]
    assert callback.said("failed") == ["terminated"]


def test_sigterm_first_delivers_what_the_spool_holds(callback: Callback, container: Container) -> None:
    callback.answer_with, callback.retry_after = 503, 30
    with container.start(WORK) as process:
        process.reached("working")
        process.go_on()
        process.reached("asleep")
        callback.answer_with = None
        process.send(signal.SIGTERM)
        assert process.wait() == 143
    assert callback.kinds == ["progress", "progress", "failed"]


def test_sigterm_while_the_callback_is_away_ends_in_time_and_loses_nothing(
    callback: Callback, container: Container
) -> None:
    with container.start(WORK) as process:
        process.reached("working")
        callback.hangs.set()
        process.go_on()  # the report hangs now, and is interrupted there
        eventually(lambda: len(callback.requests) == 2, "the report that hangs")
        began = time.monotonic()
        process.send(signal.SIGTERM)
        assert process.wait() == 143
        assert time.monotonic() - began < 5.5
    assert "the end of the task was not delivered" in container.said
    callback.hangs.clear()
    assert container.run("with Task.from_env() as task: pass") == 1
    assert callback.kinds == ["progress", "progress", "failed"]


def test_sigterm_while_the_end_waits_for_the_callback_changes_nothing_about_the_end(
    callback: Callback, container: Container
) -> None:
    callback.answer_with = 503
    with container.start("with Task.from_env() as task: step('ready')") as process:
        process.reached("ready")
        process.go_on()
        eventually(lambda: bool(callback.requests), "the end is reported")
        process.send(signal.SIGTERM)
        callback.answer_with = None
        assert process.wait() == 143
    assert callback.kinds == ["completed"]


def test_sigterm_again_and_again_at_any_moment_numbers_nothing_twice(callback: Callback, container: Container) -> None:
    program = """
with Task.from_env() as task:
    step("ready")
    while True: task.log("x")
"""
    for attempt in range(1, 5):
        container.env["CODEX_ATTEMPT"] = str(attempt)
        callback.events.clear()
        with container.start(program) as process:
            process.reached("ready")
            process.go_on()
            eventually(lambda: len(callback.events) >= 5, "some events")
            process.send(signal.SIGTERM)
            assert process.wait() == 143
        assert callback.said("failed") == ["terminated"]
        assert callback.kinds[-1] == "failed"


# A finalizer in which SIGTERM arrives: Python ignores what is raised there.
SWALLOWED = """
import os, signal
class Loose:
    def __del__(self): os.kill(os.getpid(), signal.SIGTERM)
with Task.from_env() as task:
    task.progress("working")
    Loose()
"""


@pytest.mark.parametrize(
    "next_step",
    ["", "task.log('on')", "task.memory()", "try: task.log('on')\n    finally: task.progress('cleaning up')"],
    ids=["the end", "a report", "a question", "a report that is cleaned up after"],
)
def test_sigterm_that_got_lost_in_a_finalizer_ends_the_task_at_its_next_step(
    callback: Callback, container: Container, next_step: str
) -> None:
    assert container.run(f"{SWALLOWED}    {next_step}\n") == 143
    assert callback.kinds == ["progress", *(["progress"] if "finally" in next_step else []), "failed"]
    assert callback.said("failed") == ["terminated"]
    assert callback.questions == []


def test_the_handler_that_was_there_before_is_back_after_the_block(callback: Callback, container: Container) -> None:
    container.run("""
import signal, threading
mine = lambda *_: None
signal.signal(signal.SIGTERM, mine)
with Task.from_env() as task:
    assert signal.getsignal(signal.SIGTERM) is not mine
assert signal.getsignal(signal.SIGTERM) is mine
print("restored")
""")
    assert container.said.strip() == "restored"


def test_outside_the_main_thread_sigterm_keeps_its_meaning(callback: Callback, container: Container) -> None:
    container.run("""
import signal, threading
def work():
    with Task.from_env() as task:
        task.complete(str(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL))
thread = threading.Thread(target=work); thread.start(); thread.join()
""")
    assert callback.said("completed") == ["True"]
