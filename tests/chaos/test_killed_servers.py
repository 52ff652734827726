"""`facteur demo` while its servers, agents and supervisor are killed: it ends right, or it says exactly why not."""

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.chaos.conftest import Start
from tests.chaos.fire import await_processes, ended_right, moments, under_way
from tests.integration.local.waiting import eventually, left


@pytest.mark.parametrize("name", ["broker", "node", "gateway", "redis", "postgres"])
def test_a_killed_server_costs_time_and_nothing_else(start: Start, name: str) -> None:
    demo = start()
    under_way(demo, name)
    await_processes(demo.twin_id, name, 1)[0].kill()
    ended_right(demo)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Until this file is there, the `git` beside it keeps every agent from its end."""
    git, gate = shutil.which("git"), tmp_path / "bin" / "gate"
    assert git
    gate.parent.mkdir()
    waiting = gate.with_name("git")
    waiting.write_text(f'#!/bin/sh\nwhile [ ! -e "{gate}" ]; do sleep 0.05; done\nexec "{git}" "$@"\n')
    waiting.chmod(0o755)
    return gate


def test_a_killed_agent_fails_its_task_with_a_reason_and_no_other(start: Start, gate: Path) -> None:
    demo = start(PATH=f"{gate.parent}:{os.environ['PATH']}")
    demo.until("POST")
    agent = await_processes(demo.twin_id, "agent", 1)[0]
    time.sleep(moments("agent").uniform(0, 0.1))
    agent.kill()
    gate.touch()
    assert demo.end() == 1, demo.said
    assert "the protobuf task did not reach: " in demo.said
    assert "it is failed: The job's process failed: killed by SIGKILL." in demo.said
    jobs = demo.jobs()
    assert len(jobs) == 4 and all(name.endswith("-1") for name in jobs)
    codes = [(demo.state / "jobs" / name / "exit_code").read_text() for name in jobs]
    assert sorted(codes) == ["-9", "0", "0", "0"]
    assert left(demo.twin_id) == []


def test_a_killed_supervisor_leaves_no_process_and_the_next_demo_ends_right(start: Start) -> None:
    demo = start()
    under_way(demo, "supervisor")
    demo.kill()
    began, lost = time.monotonic(), demo.twin_id
    eventually(lambda: left(lost) == [], "no process of the twin")
    again = start()
    ended_right(again)
    assert time.monotonic() - began < 30
