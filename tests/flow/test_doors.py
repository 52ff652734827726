"""A task comes through each of the four doors and passes all six functions, once."""

from collections.abc import Mapping
from functools import partial
from uuid import UUID

import pytest
import urllib3

from shared.local.demo import inputs
from shared.local.demo.inputs import Input
from shared.local.demo.stations import STATIONS, given_memory_of
from shared.postgres.database import Database
from shared.postgres.evidence import Evidence, PgEvidence
from tests.flow.laptop import TICKS, Laptop
from tests.integration.local.waiting import eventually

DOORS = ("protobuf", "JSON", "CloudEvent", "Discord")
# By what causes what. Between these, other entries may stand.
ORDER = ("accepted", "launched", "progress", "snapshot", "artifact", "usage", "completed", "succeeded")


def sent_by(laptop: Laptop) -> list[Input]:
    token = laptop.info.api_token
    signed = inputs.discord_command(laptop.info.discord_private_key)
    return [inputs.codex_task(token), inputs.json_task(token), inputs.cloud_event(), signed]


@pytest.fixture(scope="module")
def tasks(laptop: Laptop) -> dict[str, UUID]:
    """The ended task of each door; the protobuf's ended before the others began."""
    first, *later = sent_by(laptop)
    found = {first.name: laptop.send(first)}
    laptop.ended(found[first.name])
    found |= {sent.name: laptop.send(sent) for sent in later}
    for task in found.values():
        laptop.ended(task)
    return found


@pytest.fixture(scope="module")
def traces(laptop: Laptop, tasks: Mapping[str, UUID]) -> dict[str, Evidence]:
    """What each task has left in the database, its last memory included."""
    database = Database(laptop.info.dsn)
    evidence = PgEvidence(database)

    def remembered() -> bool:
        seen = [evidence.of(task) for task in tasks.values()]
        return all(found and "snapshot-after" in found.embedded for found in seen)

    eventually(remembered, "every snapshot embedded", TICKS)
    found = {name: evidence.of(task) for name, task in tasks.items()}
    database.close()
    return {name: seen for name, seen in found.items() if seen}


@pytest.mark.parametrize("door", DOORS)
def test_a_task_is_done_and_its_record_says_so(laptop: Laptop, tasks: Mapping[str, UUID], door: str) -> None:
    task = laptop.task(tasks[door])
    assert (task["status"], task["attempts"], task["reason"]) == ("succeeded", 1, "")
    assert "its unit test passed" in task["result"]
    assert [artifact["name"] for artifact in task["artifacts"]] == ["change.patch"]
    assert task["acceptedAt"] <= task["launchedAt"] <= task["finishedAt"]


@pytest.mark.parametrize("door", DOORS)
def test_a_task_passes_every_station(traces: Mapping[str, Evidence], door: str) -> None:
    assert [station.name for station in STATIONS if not station.reached(traces[door])] == []


@pytest.mark.parametrize("door", DOORS)
def test_the_timeline_tells_what_happened_in_its_order(laptop: Laptop, tasks: Mapping[str, UUID], door: str) -> None:
    entries = laptop.look(f"/v1/codex/tasks/{tasks[door]}/timeline")["entries"]
    story = [entry["what"] for entry in entries]
    assert sorted(ORDER, key=story.index) == list(ORDER)
    assert len({entry["id"] for entry in entries}) == len(entries)
    numbers = [entry["detail"]["sequence"] for entry in entries if "sequence" in entry["detail"]]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("door", DOORS[1:])
def test_a_later_task_is_given_the_memory_of_an_earlier_one(
    laptop: Laptop, tasks: Mapping[str, UUID], traces: Mapping[str, Evidence], door: str
) -> None:
    assert given_memory_of(traces[door], tasks["protobuf"])
    prompt = (laptop.job(tasks[door]) / "files" / "CODEX_PROMPT_FILE").read_text()
    assert "recalled-memory" in prompt and "Implement codex_kb ingestion" in prompt


def test_memory_answers_with_where_it_is_from(laptop: Laptop, tasks: Mapping[str, UUID]) -> None:
    best = laptop.ask(tasks["Discord"], "Implement codex_kb ingestion wiring")[0]
    assert best["provenance"]["taskId"] == str(tasks["protobuf"])
    assert 0 < best["score"] <= 1 and "codex_kb" in best["snippet"]


def test_what_an_agent_leaves_is_a_real_commit(laptop: Laptop, tasks: Mapping[str, UUID]) -> None:
    (artifact,) = laptop.task(tasks["JSON"])["artifacts"]
    scratch = laptop.job(tasks["JSON"]) / "work" / "scratch"
    (kept,) = [path for path in (laptop.state / "artifacts").rglob(artifact["id"]) if path.is_file()]
    assert kept.stat().st_size == artifact["size"]
    assert kept.read_text().startswith("From ") and (scratch / ".git").is_dir()
    # By its link, which leads to another of the same URL.
    got = urllib3.request("GET", laptop.info.url + artifact["link"], headers=laptop.bearer)
    assert (got.status, got.data) == (200, kept.read_bytes())


def test_replays_by_every_door_launch_nothing(laptop: Laptop, tasks: Mapping[str, UUID]) -> None:
    jobs = laptop.jobs()
    for _ in range(2):
        assert {sent.name: laptop.send(sent) for sent in sent_by(laptop)} == tasks
    for task in tasks.values():
        eventually(partial(_taken_thrice, laptop, task), f"intake has taken {task} three times", TICKS)
    # Whatever a replay could start, this later task comes after it on the same way.
    last = laptop.submit("Say that the replays are through", "after the replays")
    laptop.ended(last)
    assert laptop.jobs() == sorted([*jobs, laptop.job(last).name])
    attempts = laptop.rows("SELECT attempt FROM codex_kb.codex_tasks")
    assert [row["attempt"] for row in attempts] == [1] * len(laptop.jobs())


def _taken_thrice(laptop: Laptop, task: UUID) -> bool:
    """Whether intake has answered well to three deliveries of the task."""
    lines = [line for line in laptop.log("codex-intake") if line.get("taskId") == str(task)]
    return sum(1 for line in lines if line.get("status") in (200, 202, 204)) >= 3
