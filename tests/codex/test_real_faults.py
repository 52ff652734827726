"""Work that goes badly: what had happened before is kept, the reason is told, and nothing runs on."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from shared.local.state import free_port
from tests.codex.conftest import Enter, start_callback
from tests.codex.container import GREETING, Container, configure
from tests.codex.responses_api import Answers, BreaksOff, Fails, Hangs, Refuses, Turn, message, shell
from tests.component.functions import Function, authorised, await_health, end
from tests.integration.local.waiting import eventually

# Seconds before a deadline ends a container: the wrapper, the CLI and its first command have started by then.
DEADLINE = 30
LOOK = Answers([message("I look."), shell("cat hello.txt")])
SLEEP = Answers([shell("echo begun > begun.txt; sleep 1000; echo over", wait_seconds=30)])


def outputs(container: Container) -> list[str]:
    return [output for _, _, output in container.commands]


def looked(container: Container) -> bool:
    """Whether the timeline holds what was done before the fault."""
    return container.messages[:1] == ["I look."] and outputs(container)[:1] == [GREETING]


def reason(container: Container) -> str:
    assert container.status["status"] == "failed", container.said
    assert [what for what, _ in container.timeline if what in ("completed", "failed")] == ["failed"]
    return str(container.status["reason"])


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fails("the model broke"), "the model broke"),
        (Fails("no more", code="insufficient_quota"), "Quota exceeded"),
        (Refuses(401, "the key is revoked"), "401 Unauthorized"),
        (Refuses(429, "not now", retry_after=1), "429 Too Many Requests"),
        (Refuses(500, "oops"), "high demand"),
        (BreaksOff(), "stream disconnected"),
    ],
    ids=["failed answer", "no quota", "wrong key", "429 for ever", "500 for ever", "connections that break off"],
)
def test_a_model_that_fails_for_ever_fails_the_task_with_its_reason(enter: Enter, fault: Turn, why: str) -> None:
    container = enter(LOOK, fault)
    assert container.run() == 1
    assert why in reason(container)
    assert looked(container)


@pytest.mark.parametrize(
    "fault", [Refuses(429, "not now", retry_after=1), BreaksOff()], ids=["429", "a connection that breaks off"]
)
def test_a_fault_that_passes_costs_time_and_nothing_else(enter: Enter, fault: Turn) -> None:
    container = enter(LOOK, fault, Answers([message("It says hello.")]))
    assert container.run() == 0, container.said
    assert (container.status["status"], container.status["result"]) == ("succeeded", "It says hello.")
    assert container.status["usage"]["inputTokens"] == 200


def test_a_model_that_hangs_ends_at_the_deadline(enter: Enter) -> None:
    container = enter(LOOK, Hangs())
    container.set_deadline(DEADLINE)
    assert container.run() == 124, container.said
    assert "deadline" in reason(container)
    assert looked(container)


def test_a_command_that_hangs_ends_at_the_deadline(enter: Enter) -> None:
    container = enter(LOOK, SLEEP)
    container.set_deadline(DEADLINE)
    assert container.run() == 124, container.said
    assert "deadline" in reason(container)
    assert looked(container)


def test_a_model_that_is_away_fails_the_task(enter: Enter) -> None:
    container = enter(LOOK)
    configure(container.codex_home, f"http://127.0.0.1:{free_port()}/v1")
    assert container.run() == 1
    assert "Connection failed" in reason(container)


def begun(container: Container) -> None:
    eventually((container.workspace / "begun.txt").exists, "the command")


def test_an_agent_that_is_killed_fails_the_task_and_keeps_what_it_did(enter: Enter) -> None:
    container = enter(LOOK, SLEEP)
    container.start()
    begun(container)
    container.agent().kill()
    assert container.wait() == 128 + signal.SIGKILL
    assert "SIGKILL" in reason(container)
    assert looked(container)


@pytest.mark.parametrize("work", [SLEEP, Hangs()], ids=["a command runs", "the model thinks"])
def test_a_container_that_is_told_to_stop_reports_all_and_ends(enter: Enter, work: Turn) -> None:
    container = enter(LOOK, work)
    wrapper = container.start()
    eventually(lambda: len(container.model.requests) > 1, "the second request")
    if work is SLEEP:
        begun(container)
    told = time.monotonic()
    wrapper.send_signal(signal.SIGTERM)
    container.wait()
    assert time.monotonic() - told < 15
    assert "terminated" in reason(container)
    assert looked(container)


def test_a_wrapper_that_is_killed_takes_the_cli_with_it(enter: Enter) -> None:
    container = enter(LOOK, Hangs())
    wrapper = container.start()
    eventually(lambda: len(container.model.requests) > 1, "the second request")
    eventually(lambda: looked(container), "the first reports")
    agent = container.agent()
    wrapper.kill()
    assert container.wait() == -signal.SIGKILL
    eventually(lambda: not agent.is_running(), "the end of the CLI")
    assert container.status["status"] == "running"


def test_an_attempt_that_is_over_for_callback_is_stopped(enter: Enter, callback: Function) -> None:
    container = enter(LOOK, SLEEP)
    container.start("--heartbeat", "0.5")
    begun(container)
    eventually(lambda: looked(container), "the first reports")
    end_of_another = {"eventId": "other", "sequence": 1000, "eventType": "failed", "content": "replaced"}
    path = f"/v1/codex/tasks/{container.task}/events"
    answer = callback.post(path, json.dumps(end_of_another).encode(), authorised(container.token))
    assert answer.status == 200, answer.data
    assert container.wait() == 75, container.said
    assert reason(container) == "replaced"


def test_a_callback_that_is_killed_and_comes_back_misses_nothing(
    enter: Enter, environment: dict[str, str], logs: Path
) -> None:
    port = free_port()
    more = shell("touch begun.txt; until [ -e go.txt ]; do sleep 0.05; done; echo more", wait_seconds=30)
    first = start_callback(environment, logs / "killed", port)
    try:
        await_health(first)
        container = enter(LOOK, Answers([more]), Answers([message("All done.")]), reports_to=first.url)
        container.start()
        begun(container)
        eventually(lambda: looked(container), "the first reports")
    finally:
        os.killpg(first.process.pid, signal.SIGKILL)
        first.process.wait()
    (container.workspace / "go.txt").touch()
    eventually(lambda: len(container.model.requests) == 3, "the work that goes on")
    second = start_callback(environment, logs / "restarted", port)
    try:
        await_health(second)
        assert container.wait() == 0, container.said
    finally:
        end(second)
    assert (container.status["status"], container.status["result"]) == ("succeeded", "All done.")
    assert outputs(container) == [GREETING, "more\n"]
    assert container.messages == ["I look.", "All done."]
