"""A task that nobody wants any more is ended with everything that it has started."""

import json
from pathlib import Path
from uuid import UUID

import psutil

from shared.local.node import JOB
from tests.component.streams import follow
from tests.flow.laptop import TICKS, Laptop
from tests.integration.local.waiting import eventually


def processes(job: Path) -> list[int]:
    """The processes that belong to a job."""
    return [process.pid for process in psutil.process_iter() if _job(process) == str(job)]


def _job(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(JOB)
    except psutil.Error:
        return None


def cancel(laptop: Laptop, task: UUID) -> dict[str, object]:
    answer = laptop.post(f"/v1/codex/tasks/{task}/cancel", b"", laptop.bearer)
    assert answer.status == 202, answer.data
    document: dict[str, object] = answer.json()
    return document


def test_a_running_task_is_canceled_and_its_agent_is_gone(laptop: Laptop) -> None:
    task = laptop.submit("Take your time\nfacteur: sleep 600", "to be canceled")
    job = laptop.job(task)
    eventually(lambda: "heartbeat" in laptop.story(task), "the agent at work", TICKS)
    assert processes(job)
    with follow(laptop.info.url, task, token=laptop.info.api_token) as stream:
        assert (stream.status, stream.next().event) == (200, "accepted")
        assert cancel(laptop, task)["cancelRequested"] is True
        told = [one.event for one in stream]
    assert told.count("canceled") == 1
    ended = laptop.ended(task)
    assert (ended["status"], ended["cancelRequested"], ended["attempts"]) == ("canceled", True, 1)
    assert ended["reason"].startswith("canceled by ")
    assert ended["finishedAt"] > ended["launchedAt"]
    eventually(lambda: not processes(job), "the end of every process of the job", TICKS)
    eventually(lambda: _phase(job) == "stopped", "the launcher's word for it", TICKS)
    story = laptop.story(task)
    assert (story.count("cancel requested"), story.count("canceled")) == (1, 1)
    assert story.index("launched") < story.index("cancel requested") < story.index("canceled")
    assert "failed" not in story[: story.index("canceled")] and "completed" not in story
    again = cancel(laptop, task)
    assert again == {"taskId": str(task), "status": "canceled", "cancelRequested": True}
    assert laptop.story(task) == story
    listed = laptop.look("/v1/codex/tasks?status=canceled")["tasks"]
    assert [found["taskId"] for found in listed] == [str(task)]
    assert laptop.rows("SELECT count(*) AS n FROM codex_kb.dead_letters") == [{"n": 0}]


def _phase(job: Path) -> str:
    phase: str = json.loads((job / "status.json").read_text())["phase"]
    return phase
