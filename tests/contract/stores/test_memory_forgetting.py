"""What is promised of forgetting: what it takes with it, what it leaves, and that it stays forgotten."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID, uuid4

import pytest

import functions.embedder.retain
from shared.domain.errors import Rejected
from shared.domain.forgetting import PURGED, Choice, Forgotten, Found
from shared.domain.ids import stable_id
from shared.domain.memory import Recalled, fence
from shared.domain.memory_index import Filters, MemoryRow, Question, Text
from shared.domain.offer import Offered, Standing, offer
from shared.domain.policy import Verdict
from shared.domain.run import RunState
from shared.domain.task import Run
from shared.postgres.database import Database
from shared.postgres.memory_forgetting import PgMemoryForgetting
from shared.postgres.memory_retention import PgMemoryRetention
from tests.contract.stores.conftest import Stores
from tests.contract.stores.fake_forgetting import FakeForgetting, FakeRetention
from tests.contract.stores.fakes import FakeTasks

MODEL, OTHER = "model:2", "other:2"
NONCE = "n" * 32
ALLOWED = Verdict(True, "ci", "", "v1")


class Forgetting(Protocol):
    """Forgets what somebody chooses."""

    def find(self, choice: Choice) -> Found: ...

    def forget(self, choice: Choice, by: str, *, purge_prompts: bool) -> Forgotten: ...


@dataclass
class Doors:
    """Both ways to be forgotten, over the content of the stores; and time that goes by."""

    forgetting: Forgetting
    retention: functions.embedder.retain.Memories
    age: Callable[[UUID, int], None]

    def forget(self, purge_prompts: bool = False, **choice: object) -> Forgotten:
        return self.forgetting.forget(Choice(**choice), "operator", purge_prompts=purge_prompts)  # type: ignore[arg-type]  # fields of a choice


@pytest.fixture
def doors(stores: Stores, request: pytest.FixtureRequest) -> Doors:
    assert stores.models.in_use(MODEL) == MODEL
    if isinstance(stores.tasks, FakeTasks):
        world = stores.tasks.world

        def grow_old(task: UUID, days: int) -> None:
            world.ages |= {key: days for key in world.memories if key[0] == task}

        return Doors(FakeForgetting(world), FakeRetention(world), grow_old)
    database: Database = request.getfixturevalue("database")

    def change(task: UUID, days: int) -> None:
        old = "UPDATE codex_kb.codex_task_memory_index SET created_at = now() - %(days)s * interval '1 day' "
        database.do(old + "WHERE task_id = %(task)s", {"task": task, "days": days})

    return Doors(PgMemoryForgetting(database), PgMemoryRetention(database), change)


def rows(text: Text, *contents: str, model: str | None = MODEL) -> list[MemoryRow]:
    return [
        MemoryRow(
            stable_id("memory", str(text.task_id), text.kind, text.source_ref, str(number)),
            text,
            number,
            content,
            content.encode(),
            (1.0, 0.0) if model else None,
            model,
        )
        for number, content in enumerate(contents)
    ]


def embed(stores: Stores, task: UUID) -> None:
    """What embedder does of a task."""
    texts = stores.memories.missing([task], 99)
    stores.memories.store([row for text in texts for row in rows(text, text.text)], None, None)


def remember(stores: Stores, name: str, content: str = "", **changes: object) -> UUID:
    task = stores.accept(name, **({"prompt": content} if content else {}), **changes).run_id
    embed(stores, task)
    return task


def found(stores: Stores, tenant: str = "default", text: str | None = None) -> list[Recalled]:
    question = Question(MODEL, text, None if text else (1.0, 0.0))
    return list(stores.search.search(question, Filters(tenant, uuid4(), per_task=False), 99))


def owners(stores: Stores, tenant: str = "default") -> set[UUID]:
    return {one.memory.task_id for one in found(stores, tenant)}


def brief(stores: Stores, name: str, memories: Sequence[Recalled], prompt: str = "do it") -> Run:
    """A launched run that was shown these memories in its prompt."""
    run = stores.claim(stores.accept(name).run_id)
    decided = offer(run.id, [one.memory.id for one in memories], 9, 0, Standing())
    text = f"{prompt}\n\n{fence(memories, NONCE, 9999).text}\n"
    stores.launches.brief(run, text, Offered(decided, memories, memories), None, ALLOWED)
    assert stores.launched(run, f"job-{run.id}")
    return run


def prompt_of(stores: Stores, run: Run) -> str:
    """The prompt file that is kept: whoever briefs the same attempt again gets it."""
    return stores.launches.brief(run, "another", None, None, ALLOWED)


# --- what is chosen


def test_a_task_is_forgotten_and_others_are_not(stores: Stores, doors: Doors) -> None:
    task, other = remember(stores, "one"), remember(stores, "two")
    shown = doors.forgetting.find(Choice(task=task))
    assert (shown.matching, shown.tasks, shown.tenants, shown.memories) == (1, 1, ["default"], {"prompt": 1})
    done = doors.forget(task=task)
    assert (done.memories, done.tasks, done.vectors) == ({"prompt": 1}, [task], 1)
    assert (done.contents, done.models) == ([b"Do what one says"], [MODEL])
    assert owners(stores) == {other}
    assert found(stores, text="one") == []


def test_a_caller_is_forgotten_in_one_tenant(stores: Stores, doors: Doors) -> None:
    for name, caller, tenant in (("a", "mallory", "default"), ("b", "mallory", "elsewhere"), ("c", "bob", "default")):
        remember(stores, name, caller=caller, tenant=tenant)
    assert doors.forgetting.find(Choice(caller="mallory")).tenants == ["default", "elsewhere"]
    assert sum(doors.forget(caller="mallory", tenant="default").memories.values()) == 1
    assert (len(owners(stores)), len(owners(stores, "elsewhere"))) == (1, 1)


@pytest.mark.parametrize("source", ["o/r", "o/r#7"])
def test_a_repository_or_an_issue_is_forgotten(stores: Stores, doors: Doors, source: str) -> None:
    remember(stores, "one", repository="o/r", source_type="github_issue", source_ref="o/r#7")
    kept = {
        remember(stores, "two", repository="o/r2", source_type="github_issue", source_ref="o/r2#7"),
        remember(stores, "three", repository="O/R"),
    }
    assert sum(doors.forget(source=source).memories.values()) == 1
    assert owners(stores) == kept


def test_one_text_of_a_task_is_forgotten_and_the_rest_stays(stores: Stores, doors: Doors) -> None:
    task = remember(stores, "one")
    run = stores.launch(task)
    stores.finish(run, RunState.FAILED, "the quota was exceeded")
    embed(stores, task)
    assert doors.forget(task=task, source="prompt").memories == {"prompt": 1}
    assert {one.memory.kind for one in found(stores)} == {"outcome"}
    embed(stores, task)
    assert {one.memory.kind for one in found(stores)} == {"outcome"}


def test_everything_that_is_given_must_match(stores: Stores, doors: Doors) -> None:
    task = remember(stores, "one", repository="o/r")
    for choice in (Choice(task, source="o/other"), Choice(task, "bob"), Choice(task, tenant="elsewhere")):
        shown = doors.forgetting.find(choice)
        assert (shown.matching, shown.nothing) == (0, True)
        assert not doors.forgetting.forget(choice, "operator", purge_prompts=True).tasks
    assert owners(stores) == {task}


@pytest.mark.parametrize(
    "choice",
    [{}, {"tenant": "default"}, {"task": UUID(int=1), "source": ""}, {"source": "prompt"}, {"source": "attempt 12"}],
    ids=lambda choice: "-".join(choice) or "nothing",
)
def test_a_choice_that_says_too_little_is_refused(choice: Mapping[str, object]) -> None:
    with pytest.raises(Rejected):
        Choice(**choice)  # type: ignore[arg-type]  # fields of a choice


# --- what goes with it, and what stays


def test_a_vector_goes_once_nobody_has_its_content_of_whatever_tenant(stores: Stores, doors: Doors) -> None:
    one = remember(stores, "one", "the same words")
    two = remember(stores, "two", "the same words", tenant="elsewhere")
    assert doors.forget(task=one).vectors == 0
    assert owners(stores, "elsewhere") == {two}
    assert stores.memories.known([b"the same words"], MODEL)
    assert doors.forget(task=two).vectors == 1
    assert not stores.memories.known([b"the same words"], MODEL)


def test_the_vectors_of_every_model_go(stores: Stores, doors: Doors) -> None:
    task = remember(stores, "one")
    stores.models.switch(OTHER)
    (text,) = stores.memories.missing([task], 9)
    stores.memories.store(rows(text, text.text, model=OTHER), None, None)
    done = doors.forget(task=task)
    assert (done.vectors, set(done.models)) == (2, {MODEL, OTHER})
    for model in (MODEL, OTHER):
        assert not stores.memories.known([b"Do what one says"], model)


def test_who_saw_it_is_told_before_and_after_and_not_again(stores: Stores, doors: Doors) -> None:
    task, other = remember(stores, "one"), remember(stores, "two")
    mine = [one for one in found(stores) if one.memory.task_id == task]
    theirs = [one for one in found(stores) if one.memory.task_id == other]
    prompted, asked = brief(stores, "prompted", mine), stores.launch(stores.accept("asked").run_id)
    brief(stores, "saw the other", theirs)
    stores.trials.choose(asked.id, asked.attempt, mine, 9, 0)
    stores.finish(prompted, RunState.SUCCEEDED)
    wanted = {(prompted.id, 1, "prompt", 1, True), (asked.id, 1, "query", 1, False)}
    for told in (doors.forgetting.find(Choice(task)), doors.forget(task=task)):
        assert {(one.task_id, one.attempt, one.channel, one.memories, one.over) for one in told.seen_by} == wanted
    assert doors.forget(task=task).seen_by == []


def test_what_was_withheld_was_seen_by_nobody(stores: Stores, doors: Doors) -> None:
    task = remember(stores, "one")
    asking = stores.launch(stores.accept("asking").run_id)
    stores.trials.choose(asking.id, asking.attempt, found(stores), 0, 0)
    assert doors.forgetting.find(Choice(task)).seen_by == []


# --- it stays forgotten


def test_what_is_forgotten_is_not_missing_again(stores: Stores, doors: Doors) -> None:
    task = remember(stores, "one")
    doors.forget(task=task)
    assert (stores.memories.missing([task], 9), stores.memories.waiting(9)) == ([], [])
    stores.models.switch(OTHER)
    assert (stores.memories.missing([task], 9), stores.memories.waiting(9)) == ([], [])


def test_what_a_forgotten_task_leaves_later_is_not_remembered(stores: Stores, doors: Doors) -> None:
    task = stores.accept("one").run_id
    shown = doors.forgetting.find(Choice(task))
    assert (shown.tasks, shown.memories, shown.nothing) == (1, {}, False)
    doors.forget(task=task)
    run = stores.launch(task)
    stores.finish(run, RunState.FAILED, "the quota was exceeded")
    assert stores.memories.waiting(9) == []


def test_what_was_being_embedded_when_it_was_forgotten_is_not_stored(stores: Stores, doors: Doors) -> None:
    task, other = stores.accept("one").run_id, stores.accept("two").run_id
    texts = stores.memories.missing([task, other], 9)
    doors.forget(task=task)
    assert stores.memories.store([row for text in texts for row in rows(text, text.text)], None, None)
    assert owners(stores) == {other}
    assert not stores.memories.known([b"Do what one says"], MODEL), "nor is its vector"


def test_a_repeat_finds_nothing(stores: Stores, doors: Doors) -> None:
    task = remember(stores, "one", repository="o/r")
    assert doors.forget(source="o/r").tasks == [task]
    for choice in (Choice(source="o/r"), Choice(task), Choice(task, source="prompt")):
        again = doors.forgetting.find(choice)
        assert (again.tasks, again.nothing) == (0, True)
        done = doors.forgetting.forget(choice, "operator", purge_prompts=False)
        assert (done.tasks, done.memories, done.vectors) == ([], {}, 0)


# --- prompt files


def test_the_memories_in_a_prompt_file_go_once_its_run_is_over(stores: Stores, doors: Doors) -> None:
    task = remember(stores, "one")
    ended = brief(stores, "ended", found(stores))
    stores.finish(ended, RunState.SUCCEEDED)
    going = brief(stores, "going", found(stores))
    assert doors.forget(purge_prompts=True, task=task).prompts == (1, 1)
    assert (doors.retention.purge(9), doors.retention.purge(9)) == (1, 0)
    assert prompt_of(stores, ended) == f"do it\n\n{PURGED}"
    assert "Do what one says" in prompt_of(stores, going)
    stores.finish(going, RunState.SUCCEEDED)
    assert doors.retention.purge(9) == 1
    assert prompt_of(stores, going) == f"do it\n\n{PURGED}"


def test_a_prompt_file_may_be_purged_after_it_was_forgotten(stores: Stores, doors: Doors) -> None:
    task = remember(stores, "one")
    run = brief(stores, "saw", found(stores))
    stores.finish(run, RunState.SUCCEEDED)
    assert doors.forget(task=task).prompts == (0, 0)
    assert doors.retention.purge(9) == 0
    assert doors.forget(purge_prompts=True, task=task).prompts == (1, 0)
    assert doors.retention.purge(9) == 1
    assert doors.forget(purge_prompts=True, task=task).prompts == (0, 0)
    assert prompt_of(stores, run) == f"do it\n\n{PURGED}"


def test_the_prompt_file_of_an_earlier_attempt_is_purged(stores: Stores, doors: Doors) -> None:
    task = remember(stores, "one")
    run = brief(stores, "saw", found(stores))
    assert stores.launches.retry(run, "the node was lost", 0)
    assert doors.forget(purge_prompts=True, task=task).prompts == (1, 0)
    assert doors.retention.purge(9) == 1


# --- by age


def test_a_kind_is_kept_for_its_days(stores: Stores, doors: Doors) -> None:
    young, old = remember(stores, "young"), remember(stores, "old")
    doors.age(young, 29)
    doors.age(old, 31)
    assert doors.retention.forget_old({"prompt": 40, "*": 1}, 99) == 0
    assert doors.retention.forget_old({"outcome": 1}, 99) == 0
    assert doors.retention.forget_old({"outcome": 1, "*": 30}, 99) == 1
    assert owners(stores) == {young}
    assert doors.retention.forget_old({"prompt": 10}, 99) == 1
    assert owners(stores) == set()


def test_what_is_old_goes_with_its_vector_and_is_not_made_again(stores: Stores, doors: Doors) -> None:
    task = remember(stores, "one", "old words")
    doors.age(task, 400)
    doors.retention.forget_old({"*": 365}, 99)
    assert not stores.memories.known([b"old words"], MODEL)
    assert (stores.memories.missing([task], 9), stores.memories.waiting(9)) == ([], [])
    run = stores.launch(task)
    stores.finish(run, RunState.FAILED, "the quota was exceeded")
    embed(stores, task)
    assert [one.memory.kind for one in found(stores)] == ["outcome"], "what is new is remembered"


def test_a_text_is_forgotten_whole(stores: Stores, doors: Doors) -> None:
    task = stores.accept("one").run_id
    (text,) = stores.memories.missing([task], 9)
    stores.memories.store(rows(text, "a", "b", "c"), None, None)
    doors.age(task, 9)
    assert doors.retention.forget_old({"prompt": 5}, 1) == 3
    assert found(stores) == []


def test_what_is_old_goes_in_batches_the_oldest_first(stores: Stores, doors: Doors) -> None:
    tasks = [remember(stores, f"task {number}") for number in range(5)]
    for number, task in enumerate(tasks):
        doors.age(task, 100 + number)
    assert doors.retention.forget_old({"*": 30}, 2) == 2
    assert owners(stores) == set(tasks[:3])
    assert [doors.retention.forget_old({"*": 30}, 2) for _ in range(3)] == [2, 1, 0]


def test_a_vector_that_another_row_needs_outlives_its_old_one(stores: Stores, doors: Doors) -> None:
    old = remember(stores, "old", "the same words")
    remember(stores, "young", "the same words", tenant="elsewhere")
    doors.age(old, 9)
    assert doors.retention.forget_old({"*": 5}, 99) == 1
    assert doors.retention.drop_unneeded(b"", 99) == 0
    assert len(found(stores, "elsewhere")) == 1


# --- what nobody needs


@pytest.mark.parametrize("start", [b"", b"piece 1", b"z"], ids=["first", "middle", "end"])
def test_vectors_that_nobody_needs_are_found_from_wherever_one_looks(
    stores: Stores, doors: Doors, start: bytes
) -> None:
    task = stores.accept("one").run_id
    (text,) = stores.memories.missing([task], 9)
    stores.memories.store(rows(text, "piece 0", "piece 1", "piece 2"), None, None)
    stores.memories.store(rows(text, "piece 1"), None, None)
    assert doors.retention.drop_unneeded(start, 1) in (0, 1)
    doors.retention.drop_unneeded(start, 99)
    assert doors.retention.drop_unneeded(start, 99) == 0
    pieces = [b"piece 0", b"piece 1", b"piece 2"]
    assert stores.memories.known(pieces, MODEL) == {b"piece 1"}
    assert stores.memories.waiting(9) == []
