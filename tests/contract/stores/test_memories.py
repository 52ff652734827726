"""What every memory index promises to embedder, dispatcher and memory-query."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from shared.domain.ids import stable_id
from shared.domain.memory_index import Filters, MemoryRow, Question, Text
from shared.domain.report import End, Report, Snapshot
from shared.domain.run import RunState
from shared.domain.task import Target
from shared.events.catalogue import TaskAccepted, TaskPrepared, announce
from tests.contract.stores.conftest import Stores

MODEL = "model:3"
EAST, NORTH, NORTH_EAST = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.8, 0.6, 0.0)


def row(text: Text, vector: Sequence[float] | None, chunk: int = 0, content: str | None = None) -> MemoryRow:
    identity = stable_id("memory", str(text.task_id), text.kind, text.source_ref, str(chunk))
    model = MODEL if vector else None
    return MemoryRow(identity, text, chunk, content or text.text, b"hash", vector, model)


def remember(stores: Stores, name: str, *vectors: Sequence[float] | None, **changes: object) -> UUID:
    task = stores.accept(name, **changes).run_id
    (text,) = stores.memories.missing([task], MODEL, 9)
    stores.memories.store([row(text, vector, chunk) for chunk, vector in enumerate(vectors)], None, None)
    return task


def anything(not_task: UUID) -> Filters:
    return Filters("default", not_task)


def test_the_texts_without_a_vector_are_told(stores: Stores) -> None:
    target = Target("v1", "ConfigMap", "demo", "settings")
    task = stores.accept("one", tags=("a",), targets=(target,), repository="o/r").run_id
    other = stores.accept("two").run_id
    assert stores.memories.missing([task], MODEL, 9) == [
        Text(task, "prompt", "prompt", "Do what one says", "default", "o/r", ["a"], ["demo"], ["ConfigMap"])
    ]
    assert stores.memories.waiting(MODEL, 9) == [task, other]
    assert len(stores.memories.waiting(MODEL, 1)) == 1
    assert stores.memories.missing([uuid4()], MODEL, 9) == []


def test_snapshots_and_the_outcome_are_texts_too(stores: Stores) -> None:
    task = remember(stores, "one", EAST)
    stores.launch(task)
    snapshot = Snapshot(uuid4(), "after", "a: 2", "digest")
    end = End(RunState.SUCCEEDED, "", "all done")
    stores.reports.record(task, 1, [Report("e1", 1, "completed", snapshot=snapshot)], end, None)
    texts = {(text.kind, text.source_ref, text.text) for text in stores.memories.missing([task], MODEL, 9)}
    assert texts == {("snapshot-after", str(snapshot.id), "a: 2"), ("outcome", "attempt 1", "succeeded: all done")}


def test_what_has_a_vector_is_missing_for_another_model_alone(stores: Stores) -> None:
    task = remember(stores, "one", EAST)
    assert stores.memories.missing([task], MODEL, 9) == []
    assert len(stores.memories.missing([task], "other:3", 9)) == 1


def test_what_could_not_be_embedded_stays_missing_and_keeps_no_vector_from_later(stores: Stores) -> None:
    task = remember(stores, "one", None)
    (text,) = stores.memories.missing([task], MODEL, 9)
    stores.memories.store([row(text, EAST)], None, None)
    stores.memories.store([row(text, None)], None, None)
    assert stores.memories.missing([task], MODEL, 9) == []
    assert stores.search.search(Question(MODEL, vector=EAST), anything(uuid4()), 9)


def test_an_equal_text_gets_the_vector_that_is_there_already(stores: Stores) -> None:
    remember(stores, "one", EAST)
    task = stores.accept("two", tenant="elsewhere").run_id
    (text,) = stores.memories.missing([task], MODEL, 9)
    assert stores.memories.known([b"hash", b"another"], MODEL) == {b"hash"}
    assert stores.memories.known([b"hash"], "other:3") == set()
    stores.memories.store([replace(row(text, None), model=MODEL)], None, None)
    assert stores.memories.missing([task], MODEL, 9) == []
    (found,) = stores.search.search(Question(MODEL, vector=EAST), Filters("elsewhere", uuid4()), 9)
    assert found.memory.task_id == task
    assert found.parts["vector"] == pytest.approx(1.0, abs=1e-3)


def test_an_equal_text_that_is_gone_leaves_the_other_waiting(stores: Stores) -> None:
    task = stores.accept("one").run_id
    (text,) = stores.memories.missing([task], MODEL, 9)
    stores.memories.store([replace(row(text, None), model=MODEL)], None, None)
    assert stores.memories.waiting(MODEL, 9) == [task]


def test_a_text_is_missing_until_all_of_its_pieces_have_vectors(stores: Stores) -> None:
    task = stores.accept("one").run_id
    (text,) = stores.memories.missing([task], MODEL, 9)
    stores.memories.store([row(text, EAST), row(text, None, 1)], None, None)
    assert stores.memories.waiting(MODEL, 9) == [task]
    stores.memories.store([row(text, EAST), row(text, NORTH, 1)], None, None)
    assert stores.memories.waiting(MODEL, 9) == []


@pytest.mark.parametrize("chunk", [0, 1])
def test_what_a_model_refuses_is_missing_for_another_model_alone(stores: Stores, chunk: int) -> None:
    task = stores.accept("one").run_id
    (text,) = stores.memories.missing([task], MODEL, 9)
    pieces = [row(text, EAST, 1 - chunk), row(text, None, chunk)]
    stores.memories.store(pieces, None, None)
    assert stores.memories.waiting(MODEL, 9) == [task]
    stores.memories.store([pieces[0], replace(pieces[1], refused_by=MODEL)], None, None)
    assert (stores.memories.missing([task], MODEL, 9), stores.memories.waiting(MODEL, 9)) == ([], [])
    assert stores.memories.waiting("other:3", 9) == [task]


def test_an_event_prepares_its_task_once(stores: Stores) -> None:
    task = stores.accept("one").run_id
    stores.waiting()
    received = announce(TaskAccepted(task), "codex-intake", None)
    prepared = announce(TaskPrepared(task), "embedder", None)
    assert stores.memories.store([], received, prepared)
    assert not stores.memories.store([], received, prepared)
    assert stores.status(task)[0] == "prepared"
    assert stores.waiting() == ["task.prepared.v1"]


def test_preparing_does_not_move_a_run_back(stores: Stores) -> None:
    task = stores.accept("one").run_id
    stores.launch(task)
    stores.memories.store([], None, announce(TaskPrepared(task), "embedder", None))
    assert stores.status(task)[0] == "running"


def test_the_prompt_of_a_task_is_told_with_its_tenant_and_attempt(stores: Stores) -> None:
    task = stores.accept("one", tenant="elsewhere").run_id
    assert stores.memories.prompt(task) == ("Do what one says", "elsewhere", 0)
    stores.claim(task)
    assert stores.memories.prompt(task) == ("Do what one says", "elsewhere", 1)
    assert stores.memories.prompt(uuid4()) is None


def test_what_was_shown_may_be_noted_twice(stores: Stores) -> None:
    asking = remember(stores, "asking", EAST)
    remember(stores, "near", NORTH_EAST)
    shown = stores.search.nearest_to_task(asking, 9)
    for _ in range(2):
        stores.memories.expose(asking, 1, shown)
