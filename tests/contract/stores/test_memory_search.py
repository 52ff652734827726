"""What every search of the memory index promises to dispatcher and memory-query."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.domain.ids import stable_id
from shared.domain.memory import Recalled
from shared.domain.memory_index import Filters, MemoryRow, Question
from shared.domain.run import RunState
from shared.domain.task import Target
from tests.contract.stores.conftest import Stores

MODEL = "model:3"
EAST, NORTH, NORTH_EAST = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.8, 0.6, 0.0)


@pytest.fixture(autouse=True)
def in_use(stores: Stores) -> None:
    stores.models.in_use(MODEL)


def remember(stores: Stores, name: str, *vectors: Sequence[float] | None, content: str = "", **changes: Any) -> UUID:
    """A task with one piece of memory for each vector: of its prompt, or of the content."""
    task = stores.accept(name, **changes).run_id
    (text,) = stores.memories.missing([task], 9)
    for number, vector in enumerate(vectors):
        piece = content or (f"{text.text}, part {number}" if number else text.text)
        identity = stable_id("memory", str(task), str(number))
        model = MODEL if vector else None
        row = MemoryRow(identity, text, number, piece, piece.encode(), vector, model)
        stores.memories.store([row], None, None)
    return task


def search(stores: Stores, vector: Sequence[float] | None, text: str | None = None, **more: Any) -> list[Recalled]:
    filters = {"tenant": "default", "not_task": uuid4(), **more}
    return list(stores.search.search(Question(MODEL, text, vector), Filters(**filters), 9))


def tasks(found: Sequence[Recalled]) -> list[UUID]:
    return [recalled.memory.task_id for recalled in found]


def test_the_nearest_come_first_and_each_task_once(stores: Stores) -> None:
    near, far = remember(stores, "near", NORTH, EAST, NORTH_EAST), remember(stores, "far", NORTH)
    middle = remember(stores, "middle", NORTH_EAST)
    found = search(stores, EAST)
    assert tasks(found) == [near, middle, far]
    assert [recalled.parts["vector"] for recalled in found] == pytest.approx([1.0, 0.8, 0.0], abs=1e-3)
    assert 1 >= found[0].score > found[1].score > found[2].score > 0
    assert len(stores.search.search(Question(MODEL, None, EAST), Filters("default", uuid4()), 2)) == 2
    assert stores.search.search(Question("other:3", None, EAST), Filters("default", uuid4()), 9) == []


def test_several_memories_of_a_task_are_found_for_who_asks_for_them(stores: Stores) -> None:
    task = remember(stores, "near", NORTH, EAST, NORTH_EAST)
    assert tasks(search(stores, EAST, per_task=False)) == [task] * 3


def test_the_same_content_is_found_once(stores: Stores) -> None:
    for name in ("one", "two", "three"):
        remember(stores, name, EAST, content="the same")
    other = remember(stores, "four", NORTH)
    for per_task in (True, False):
        found = search(stores, EAST, per_task=per_task)
        assert [recalled.memory.text for recalled in found] == ["the same", "Do what four says"]
        assert found[1].memory.task_id == other


def test_what_both_vector_and_words_find_comes_first(stores: Stores) -> None:
    near = remember(stores, "near", EAST, prompt="file the tax return")
    both = remember(stores, "both", NORTH_EAST, prompt="repair the pumps of the ziggurat")
    said = remember(stores, "said", NORTH, prompt="repair the bicycle")
    found = search(stores, EAST, "repair the ziggurat pumps")
    assert tasks(found)[0] == both
    assert set(tasks(found)) == {near, both, said}
    assert found[0].parts.keys() == {"vector", "lexical", "outcome", "age"}
    assert found[0].parts["vector"] == pytest.approx(0.8, abs=1e-3)
    assert 0 < found[0].parts["lexical"] < 1
    assert 0 < found[0].score <= 1


def test_of_two_alike_the_one_that_succeeded_comes_first(stores: Stores) -> None:
    ended = {}
    for state in (RunState.FAILED, RunState.SUCCEEDED):
        ended[state] = remember(stores, state.value, EAST)
        stores.finish(stores.launch(ended[state]), state, "")
    found = search(stores, EAST)
    assert tasks(found) == [ended[RunState.SUCCEEDED], ended[RunState.FAILED]]
    assert found[0].parts["outcome"] > found[1].parts["outcome"]
    assert tasks(search(stores, EAST, outcome="failed")) == [ended[RunState.FAILED]]
    assert search(stores, EAST, outcome="' OR true --") == []


def test_a_task_is_shown_others_that_are_near_enough(stores: Stores) -> None:
    asking = remember(stores, "asking", EAST)
    near = remember(stores, "near", NORTH_EAST)
    remember(stores, "far", NORTH)
    remember(stores, "stranger", EAST, tenant="elsewhere")
    (found,) = stores.search.nearest_to_task(asking, 9)
    assert found.memory.task_id == near
    assert (found.memory.kind, found.memory.text, found.memory.outcome) == ("prompt", "Do what near says", "accepted")
    assert stores.search.nearest_to_task(remember(stores, "without", None), 9) == []
    assert stores.search.nearest_to_task(uuid4(), 9) == []


def test_every_filter_narrows_and_the_tenant_always_applies(stores: Stores) -> None:
    target = Target("v1", "ConfigMap", "demo", "settings")
    about: dict[str, Any] = {"targets": (target,), "repository": "o/r", "tags": ("a", "b")}
    task = remember(stores, "one", EAST, **about)
    remember(stores, "two", EAST, tags=("a",))
    remember(stores, "stranger", EAST, tenant="elsewhere", **about)
    fitting: list[dict[str, Any]] = [
        {"namespace": "demo"},
        {"resource_kind": "ConfigMap"},
        {"repository": "o/r"},
        {"tags": ("b",)},
        {"tags": ("b", "a")},
    ]
    for filters in fitting:
        for vector, text in ((EAST, None), (None, "what does one say, what does stranger say"), (EAST, "one")):
            assert tasks(search(stores, vector, text, **filters)) == [task], filters
    assert len(search(stores, EAST, kind="prompt")) == 2
    assert len(search(stores, EAST, max_age_days=1)) == 2
    assert len(search(stores, EAST, tags=("a",))) == 2
    assert search(stores, EAST, kind="outcome") == []
    assert search(stores, EAST, tags=("a", "b", "c")) == []
    assert len(search(stores, EAST, not_task=task)) == 1


def test_words_are_found_without_any_vector(stores: Stores) -> None:
    both = remember(stores, "one", None, prompt="repair the ziggurat pumps")
    some = remember(stores, "two", None, prompt="repair the bicycle")
    remember(stores, "three", None, prompt="file the tax return")
    found = search(stores, None, "ziggurat pumps repair")
    assert tasks(found) == [both, some]
    assert all(0 < recalled.score < 1 for recalled in found)
    assert all("vector" not in recalled.parts for recalled in found)
    assert search(stores, None, "nothing of this") == []
