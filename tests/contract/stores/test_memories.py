"""What every memory index promises to embedder, dispatcher and memory-query."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from shared.domain.errors import Rejected
from shared.domain.ids import stable_id
from shared.domain.memory_index import Filters, MemoryRow, Question, Text
from shared.domain.task import Target
from shared.events.catalogue import TaskAccepted, TaskPrepared, announce
from tests.contract.stores.conftest import MakeStores, Stores

MODEL, OTHER = "model:3", "other:3"
EAST, NORTH, NORTH_EAST = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.8, 0.6, 0.0)


@pytest.fixture(autouse=True)
def in_use(stores: Stores) -> None:
    assert stores.models.in_use(MODEL) == MODEL


def row(text: Text, vector: Sequence[float] | None, chunk: int = 0, content: str | None = None) -> MemoryRow:
    identity = stable_id("memory", str(text.task_id), text.kind, text.source_ref, str(chunk))
    piece = content or f"{text.text}, part {chunk}"
    return MemoryRow(identity, text, chunk, piece, piece.encode(), vector, MODEL if vector else None)


def remember(stores: Stores, name: str, *vectors: Sequence[float] | None, **changes: object) -> UUID:
    task = stores.accept(name, **changes).run_id
    (text,) = stores.memories.missing([task], 9)
    stores.memories.store([row(text, vector, chunk) for chunk, vector in enumerate(vectors)], None, None)
    return task


def anything(not_task: UUID) -> Filters:
    return Filters("default", not_task)


def test_the_texts_without_a_vector_are_told(stores: Stores) -> None:
    target = Target("v1", "ConfigMap", "demo", "settings")
    task = stores.accept("one", tags=("a",), targets=(target,), repository="o/r").run_id
    other = stores.accept("two").run_id
    assert stores.memories.missing([task], 9) == [
        Text(task, "prompt", "prompt", "Do what one says", "default", "o/r", ["a"], ["demo"], ["ConfigMap"], "caller")
    ]
    assert stores.memories.waiting(9) == [task, other]
    assert len(stores.memories.waiting(1)) == 1
    assert stores.memories.missing([uuid4()], 9) == []


def test_what_has_a_vector_is_missing_again_once_another_model_is_in_use(stores: Stores) -> None:
    task = remember(stores, "one", EAST)
    assert (stores.memories.missing([task], 9), stores.memories.waiting(9)) == ([], [])
    stores.models.switch(OTHER)
    assert len(stores.memories.missing([task], 9)) == 1
    assert stores.memories.waiting(9) == [task]
    stores.models.switch(MODEL)
    assert (stores.memories.missing([task], 9), stores.memories.waiting(9)) == ([], [])


def test_nothing_is_done_before_a_model_is_in_use(make_stores: MakeStores) -> None:
    stores = make_stores()
    stores.models.switch(OTHER)
    task = remember(stores, "one", EAST)
    assert stores.memories.waiting(9) == [task]


def test_a_vector_of_the_model_before_leaves_its_text_waiting(stores: Stores) -> None:
    task = stores.accept("one").run_id
    (text,) = stores.memories.missing([task], 9)
    stores.models.switch(OTHER)
    stores.memories.store([row(text, EAST)], None, None)
    assert stores.memories.waiting(9) == [task]
    stores.memories.store([replace(row(text, NORTH), model=OTHER)], None, None)
    assert stores.memories.waiting(9) == []
    for model, vector in ((MODEL, EAST), (OTHER, NORTH)):
        (found,) = stores.search.search(Question(model, vector=vector), anything(uuid4()), 9)
        assert found.parts["vector"] == pytest.approx(1.0, abs=1e-3)


def test_what_could_not_be_embedded_stays_missing_and_keeps_no_vector_from_later(stores: Stores) -> None:
    task = remember(stores, "one", None)
    (text,) = stores.memories.missing([task], 9)
    stores.memories.store([row(text, EAST)], None, None)
    stores.memories.store([row(text, None)], None, None)
    assert stores.memories.missing([task], 9) == []
    assert stores.search.search(Question(MODEL, vector=EAST), anything(uuid4()), 9)


def test_an_equal_text_gets_the_vector_that_is_there_already(stores: Stores) -> None:
    remember(stores, "one", EAST)
    task = stores.accept("two", tenant="elsewhere").run_id
    (text,) = stores.memories.missing([task], 9)
    equal = row(text, None, content="Do what one says, part 0")
    assert stores.memories.known([equal.content_hash, b"another"], MODEL) == {equal.content_hash}
    assert stores.memories.known([equal.content_hash], OTHER) == set()
    stores.memories.store([equal], None, None)
    assert stores.memories.missing([task], 9) == []
    (found,) = stores.search.search(Question(MODEL, vector=EAST), Filters("elsewhere", uuid4()), 9)
    assert found.memory.task_id == task
    assert found.parts["vector"] == pytest.approx(1.0, abs=1e-3)


def test_the_first_vector_of_a_content_stays(stores: Stores) -> None:
    for name, vector in (("one", EAST), ("two", NORTH)):
        task = stores.accept(name).run_id
        (text,) = stores.memories.missing([task], 9)
        stores.memories.store([row(text, vector, content="the same")], None, None)
    (found,) = stores.search.search(Question(MODEL, vector=EAST), anything(uuid4()), 9)
    assert found.parts["vector"] == pytest.approx(1.0, abs=1e-3)


def test_a_text_is_missing_until_all_of_its_pieces_have_vectors(stores: Stores) -> None:
    task = stores.accept("one").run_id
    (text,) = stores.memories.missing([task], 9)
    stores.memories.store([row(text, EAST), row(text, None, 1)], None, None)
    assert stores.memories.waiting(9) == [task]
    stores.memories.store([row(text, EAST), row(text, NORTH, 1)], None, None)
    assert stores.memories.waiting(9) == []


@pytest.mark.parametrize("chunk", [0, 1])
def test_what_a_model_refuses_is_missing_for_another_model_alone(stores: Stores, chunk: int) -> None:
    task = stores.accept("one").run_id
    (text,) = stores.memories.missing([task], 9)
    pieces = [row(text, EAST, 1 - chunk), row(text, None, chunk)]
    stores.memories.store(pieces, None, None)
    assert stores.memories.waiting(9) == [task]
    stores.memories.store([pieces[0], replace(pieces[1], model=MODEL)], None, None)
    assert (stores.memories.missing([task], 9), stores.memories.waiting(9)) == ([], [])
    assert stores.memories.known([pieces[1].content_hash], MODEL), "nobody asks for it again"
    assert len(stores.search.search(Question(MODEL, vector=EAST), anything(uuid4()), 9)) == 1
    stores.models.switch(OTHER)
    assert stores.memories.waiting(9) == [task]


def test_a_model_may_think_better_of_what_it_refused_but_never_forgets_a_vector(stores: Stores) -> None:
    task = stores.accept("one").run_id
    (text,) = stores.memories.missing([task], 9)
    refused = replace(row(text, None), model=MODEL)
    for again in (refused, row(text, EAST), refused):
        stores.memories.store([again], None, None)
    (found,) = stores.search.search(Question(MODEL, vector=EAST), anything(uuid4()), 9)
    assert found.parts["vector"] == pytest.approx(1.0, abs=1e-3)


def test_of_a_model_that_is_not_known_nothing_is_kept_and_its_text_waits(stores: Stores) -> None:
    task = stores.accept("one").run_id
    (text,) = stores.memories.missing([task], 9)
    dropped = replace(row(text, EAST), model="dropped:3")
    stores.memories.store([dropped], None, None)
    assert stores.memories.known([dropped.content_hash], "dropped:3") == set()
    assert stores.memories.waiting(9) == [task]


def test_the_vector_of_a_content_is_told_whatever_task_has_it(stores: Stores) -> None:
    task = stores.accept("one").run_id
    (text,) = stores.memories.missing([task], 9)
    pieces = [row(text, EAST), replace(row(text, None, 1), model=MODEL)]
    assert stores.memories.vector(pieces[0].content_hash, MODEL) is None
    stores.memories.store(pieces, None, None)
    vector = stores.memories.vector(pieces[0].content_hash, MODEL)
    assert vector is not None
    assert tuple(vector) == EAST
    assert stores.memories.vector(pieces[0].content_hash, OTHER) is None
    with pytest.raises(Rejected):
        stores.memories.vector(pieces[1].content_hash, MODEL)


def test_a_text_that_is_cut_in_fewer_pieces_leaves_none_that_waits(stores: Stores) -> None:
    task = stores.accept("one").run_id
    (text,) = stores.memories.missing([task], 9)
    stores.memories.store([row(text, None, chunk) for chunk in range(3)], None, None)
    stores.memories.store([row(text, EAST)], None, None)
    assert stores.memories.waiting(9) == []
    assert len(stores.search.search(Question(MODEL, text="part"), Filters("default", uuid4(), per_task=False), 9)) == 1


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


def test_a_prompt_without_a_vector_of_the_model_in_use_is_compared_by_that_of_the_one_before(stores: Stores) -> None:
    asking, near = remember(stores, "asking", EAST), remember(stores, "near", NORTH_EAST)
    stores.models.switch(OTHER)
    (found,) = stores.search.nearest_to_task(asking, 9)
    assert found.memory.task_id == near
