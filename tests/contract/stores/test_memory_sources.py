"""Which texts of a task are remembered, who wrote each, and that none of them is there twice."""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.domain.memory_index import Filters, MemoryRow, Question, Text
from shared.domain.report import End, Report, Snapshot
from shared.domain.run import RunState
from shared.domain.task import Run, Target
from tests.contract.stores.conftest import Stores
from tests.contract.stores.test_launches import ALLOWED

DIFFERENCE = "~ v1 ConfigMap demo/settings: data.a: 1 -> 2"
MESSAGE = "The cache was never emptied, because its key had no version."
COMMAND = {"kind": "command", "command": "make test", "status": "failed", "exitCode": 2, "output": "1 failed"}


def texts(stores: Stores, task: UUID, kind: str) -> list[Text]:
    return [text for text in stores.memories.missing([task], 99) if text.kind == kind]


def text(stores: Stores, task: UUID, kind: str) -> str:
    """The only text of its kind, "" without one."""
    return next((one.text for one in texts(stores, task, kind)), "")


def reported(stores: Stores, *contents: Any, end: End | None = None, final: Any = None) -> UUID:
    """A run that has reported progress, and its end if there is one."""
    task = stores.accept().run_id
    stores.launch(task)
    reports = [Report(f"e{number}", number, "progress", content) for number, content in enumerate(contents, 1)]
    if end:
        kind = "completed" if end.state is RunState.SUCCEEDED else "failed"
        reports.append(Report("end", len(reports) + 1, kind, final))
    stores.reports.record(task, 1, reports, end, None)
    return task


def succeeded(stores: Stores, *contents: Any, final: Any = "") -> UUID:
    return reported(stores, *contents, end=End(RunState.SUCCEEDED, "", str(final)[:4000]), final=final)


def settled(stores: Stores, difference: str) -> tuple[UUID, Run]:
    """A run of which the dispatcher has looked at the targets, before and after."""
    task = stores.accept(targets=(Target("v1", "ConfigMap", "demo", "settings"),)).run_id
    run = stores.claim(task)
    stores.launches.brief(run, "prompt", None, Snapshot(uuid4(), "before", "a: 1", "1"), ALLOWED)
    stores.launched(run)
    stores.finish(run, RunState.FAILED, "it was late")
    stores.runs.settle(run, Snapshot(uuid4(), "after", "a: 2", "2"), difference)
    return task, run


def test_the_prompt_is_the_callers(stores: Stores) -> None:
    (prompt,) = stores.memories.missing([stores.accept().run_id], 9)
    assert (prompt.kind, prompt.trust, prompt.attempt) == ("prompt", "caller", None)


def test_what_the_dispatcher_saw_is_of_the_cluster(stores: Stores) -> None:
    task, _ = settled(stores, DIFFERENCE)
    seen = [one for one in stores.memories.missing([task], 99) if one.trust == "cluster"]
    assert sorted((one.kind, one.text) for one in seen) == [
        ("change", DIFFERENCE),
        ("change-shape", DIFFERENCE),
        ("snapshot-after", "a: 2"),
        ("snapshot-before", "a: 1"),
    ]
    assert {one.attempt for one in seen} == {1}


def test_without_a_difference_there_is_no_change(stores: Stores) -> None:
    task, _ = settled(stores, "")
    assert texts(stores, task, "change") == texts(stores, task, "change-shape") == []


def test_a_snapshot_that_a_container_reports_is_of_the_agent(stores: Stores) -> None:
    task = stores.accept().run_id
    stores.launch(task)
    snapshot = Snapshot(uuid4(), "after", "commit 1", "digest")
    stores.reports.record(task, 1, [Report("e1", 1, "snapshot", snapshot=snapshot)], None, None)
    (seen,) = texts(stores, task, "snapshot-after")
    assert (seen.source_ref, seen.text, seen.trust, seen.attempt) == (str(snapshot.id), "commit 1", "agent", 1)


def test_the_outcome_is_told_with_its_reason_and_attempt(stores: Stores) -> None:
    task, _ = settled(stores, "")
    (outcome,) = texts(stores, task, "outcome")
    assert re.fullmatch(r"failed: it was late \(attempt 1, \d+ s\)", outcome.text)
    assert (outcome.source_ref, outcome.trust, outcome.attempt) == ("attempt 1", "agent", 1)
    assert re.fullmatch(r"succeeded \(attempt 1, \d+ s\)", text(stores, succeeded_after(stores), "outcome"))


def succeeded_after(stores: Stores) -> UUID:
    task = stores.accept("another").run_id
    run = stores.launch(task)
    stores.finish(run, RunState.SUCCEEDED)
    return task


def test_the_final_message_is_there_whole(stores: Stores) -> None:
    final = "All is done. " * 1000
    (message,) = texts(stores, succeeded(stores, final=final), "final-message")
    assert (message.source_ref, message.text, message.trust, message.attempt) == ("attempt 1", final, "agent", 1)


@pytest.mark.parametrize("final", ["", "  \n", None], ids=["empty", "blank", "none"])
def test_without_a_final_message_there_is_none(stores: Stores, final: str | None) -> None:
    assert texts(stores, succeeded(stores, final=final), "final-message") == []


def test_events_that_say_something_are_told_in_their_order(stores: Stores) -> None:
    tool = {"kind": "tool", "server": "kube", "tool": "apply", "status": "failed", "error": "not allowed"}
    error = {"kind": "error", "message": "stream disconnected"}
    task = succeeded(stores, {"kind": "message", "text": MESSAGE}, COMMAND, tool, error, MESSAGE[::-1])
    (events,) = texts(stores, task, "events")
    assert events.text == "\n\n".join(
        [
            MESSAGE,
            "failed with exit code 2: make test\n1 failed",
            "failed: kube apply\nnot allowed",
            "error: stream disconnected",
            MESSAGE[::-1],
        ]
    )
    assert (events.source_ref, events.trust, events.attempt) == ("attempt 1", "agent", 1)


QUIET: Sequence[Any] = [
    "reading",
    {"kind": "message", "text": "Done."},
    COMMAND | {"status": "completed", "exitCode": 0},
    COMMAND | {"status": "in_progress", "exitCode": None},
    {"kind": "files", "status": "completed", "files": [{"path": "/a" * 40, "change": "add"}]},
    {"kind": "todo", "items": [{"text": MESSAGE, "done": False}]},
    {"kind": "search", "query": MESSAGE},
    {"kind": "tool", "server": "kube", "tool": "get", "result": MESSAGE},
    {"text": MESSAGE},
    [MESSAGE],
    17,
    None,
]


@pytest.mark.parametrize("content", QUIET, ids=range(len(QUIET)))
def test_what_says_nothing_is_not_told(stores: Stores, content: Any) -> None:
    assert texts(stores, succeeded(stores, content), "events") == []


@pytest.mark.parametrize("kind", ["log", "heartbeat", "usage", "artifact"])
def test_other_kinds_of_events_are_not_told(stores: Stores, kind: str) -> None:
    task = stores.accept().run_id
    run = stores.launch(task)
    stores.reports.record(task, 1, [Report("e1", 1, kind, {"kind": "message", "text": MESSAGE})], None, None)
    stores.finish(run, RunState.SUCCEEDED)
    assert texts(stores, task, "events") == []


def test_nothing_is_told_twice(stores: Stores) -> None:
    task = succeeded(stores, MESSAGE, {"kind": "message", "text": MESSAGE}, "x" * 50, "x" * 50, final=MESSAGE)
    assert text(stores, task, "events") == "x" * 50
    assert text(stores, task, "final-message") == MESSAGE


@pytest.mark.parametrize("content", [MESSAGE, {"kind": "error", "message": MESSAGE}], ids=["text", "error"])
def test_the_reason_of_a_failure_is_told_once(stores: Stores, content: Any) -> None:
    task = reported(stores, content, end=End(RunState.FAILED, MESSAGE, ""), final=MESSAGE)
    assert texts(stores, task, "events") == texts(stores, task, "final-message") == []
    assert text(stores, task, "outcome").startswith(f"failed: {MESSAGE}")


def test_of_many_events_the_last_twenty_are_told(stores: Stores) -> None:
    task = succeeded(stores, *(f"message number {number:02d} " + "." * 40 for number in range(30)))
    told = re.findall(r"number (\d\d)", text(stores, task, "events"))
    assert told == [f"{number:02d}" for number in range(10, 30)]


def test_of_a_long_event_the_beginning_and_the_end_are_told(stores: Stores) -> None:
    told = text(stores, succeeded(stores, "a" * 5000 + "b" * 5000), "events")
    assert told == "a" * 1500 + "\n…\n" + "b" * 1500


def test_events_are_told_once_the_task_is_over(stores: Stores) -> None:
    assert texts(stores, reported(stores, MESSAGE), "events") == []


def test_who_wrote_it_and_in_which_attempt_is_kept_and_found_again(stores: Stores) -> None:
    task, _ = settled(stores, DIFFERENCE)
    stores.models.in_use("model:3")
    (change,) = texts(stores, task, "change")
    (prompt,) = texts(stores, task, "prompt")
    rows = [
        MemoryRow(uuid4(), one, 0, one.text, one.text.encode(), (1.0, 0.0, 0.0), "model:3") for one in (change, prompt)
    ]
    stores.memories.store(rows, None, None)
    question, filters = Question("model:3", vector=(1.0, 0.0, 0.0)), Filters("default", uuid4(), per_task=False)
    found = stores.search.search(question, filters, 9)
    assert {(one.memory.kind, one.memory.trust, one.memory.attempt) for one in found} == {
        ("change", "cluster", 1),
        ("prompt", "caller", None),
    }
