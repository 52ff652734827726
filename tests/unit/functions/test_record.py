"""The callback's use cases, and what it reads."""

import hashlib
import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.callback.bodies import reports
from functions.callback.record import Record
from shared.domain.errors import Malformed
from shared.domain.report import Report, Snapshot
from tests.contract.stores.conftest import Stores
from tests.unit.functions.conftest import Said


@pytest.fixture
def task(stores: Stores) -> UUID:
    task = stores.accept().run_id
    stores.launch(task)
    return task


SNAPSHOT = Snapshot(UUID(int=9), "after", "a: 2", "digest")


def report(number: int, kind: str = "progress", content: Any = "said") -> Report:
    return Report(f"e{number}", number, kind, content)


def test_what_is_worth_remembering_is_announced_once(stores: Stores, task: UUID, said: Said) -> None:
    record = Record(stores.reports, said)
    for _ in range(2):
        record(task, 1, [replace(report(1, "snapshot"), snapshot=SNAPSHOT), report(2, "log")], "00-trace")
    assert said.types == ["run.reported.v1"]
    assert json.loads(said[0].data or b"") == {"taskId": str(task), "attempt": 1, "sequence": 2}


def test_what_makes_no_memory_is_recorded_in_silence(stores: Stores, task: UUID, said: Said) -> None:
    quiet = [report(number, kind) for number, kind in enumerate(("progress", "log", "heartbeat", "usage"), 1)]
    assert Record(stores.reports, said)(task, 1, quiet, None).accepted == 4
    assert said == []


@pytest.mark.parametrize(
    ("kind", "content", "end"),
    [
        ("completed", "all is well", ("succeeded", "", "all is well")),
        ("completed", {"structured": True}, ("succeeded", "", "")),
        ("completed", "x" * 9000, ("succeeded", "", "x" * 4000)),
        ("failed", "no such branch", ("failed", "no such branch", "")),
        ("failed", None, ("failed", "the container said that it failed", "")),
    ],
)
def test_the_first_end_of_a_batch_ends_the_run(
    stores: Stores, task: UUID, said: Said, kind: str, content: Any, end: tuple[str, str, str]
) -> None:
    record = Record(stores.reports, said)
    other = "failed" if kind == "completed" else "completed"
    record(task, 1, [report(1), report(2, kind, content), report(3, other)], None)
    assert stores.status(task) == end
    assert said.types == ["task.finished.v1"]


def body(**more: Any) -> bytes:
    return json.dumps({"eventId": "e", "sequence": 1, "eventType": "progress"} | more).encode()


def test_one_event_and_a_list_are_read_alike_each_id_once() -> None:
    one = reports(body(content="x"), uuid4())
    assert reports(b" [" + body(content="x") + b"," + body(content="x") + b"]", uuid4()) == one


def test_a_snapshot_is_named_by_its_event_and_digested_as_it_is_kept() -> None:
    task = uuid4()
    raw = body(eventType="snapshot", snapshot={"type": "after", "content": "token: ghp_" + "a1B2" * 9})
    (one,), (again,) = reports(raw, task), reports(raw, task)
    assert one == again
    assert one.snapshot
    assert "ghp_" not in one.snapshot.content
    assert one.snapshot.digest == hashlib.sha256(one.snapshot.content.encode()).hexdigest()
    assert one.content == {"snapshot": "after", "digest": one.snapshot.digest}


@pytest.mark.parametrize(
    "content",
    [
        "password: correct-horse-7",
        {"password": "correct-horse-7"},
        [{"name": "DB_PASSWORD", "value": "correct-horse-7"}],
        {"log": "env:\n  DB_PASSWORD=correct-horse-7\n"},
        {"manifest": "kind: Secret\nstringData:\n  colour: correct-horse-7\n"},
        {"kind": "Secret", "data": {"colour": "correct-horse-7"}},
        {"deep": [[{"text": "https://bot:correct-horse-7@example.com/x"}]]},
    ],
    ids=str,
)
def test_no_form_of_content_carries_a_credential(content: Any) -> None:
    (one,) = reports(body(content=content), uuid4())
    assert "correct-horse" not in json.dumps(one.content)


@pytest.mark.parametrize(
    "content", [None, "text", {"a": [1, 2.5, True, None, "b"]}, ["\u00e9", "line\nline", 'quo"te']]
)
def test_content_without_credentials_is_kept_as_it_is(content: Any) -> None:
    (one,) = reports(body(content=content), uuid4())
    assert one.content == content


@pytest.mark.parametrize(
    "raw", [b"[]", b"", b"null", body(sequence=0), body(eventType="dance"), body(usage={"a": "b"})]
)
def test_what_is_no_event_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        reports(raw, uuid4())
