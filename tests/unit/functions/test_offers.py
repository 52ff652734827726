"""The use cases that offer memories and take verdicts: dispatcher, memory-query and codex-intake."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from functions.codex_intake.judge import Judge
from functions.memory_query.access import Asker
from functions.memory_query.choose import Choose
from functions.memory_query.recall import Answer
from shared.domain.errors import NotFound
from shared.domain.ids import resource_name
from shared.domain.memory import Memory, Recalled
from shared.domain.offer import Arm
from shared.domain.outcome import Judgement
from tests.contract.jobs.fake_jobs import FakeJobs
from tests.contract.stores.conftest import Stores
from tests.unit.functions.conftest import RECIPE, Dispatcher, Said

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FOUND = [Recalled(Memory(uuid4(), uuid4(), "prompt", "prompt", f"piece {number}", NOW), 0.9) for number in range(12)]


class Shelf:
    """Finds the same for everybody, and knows how much was asked for."""

    def __init__(self) -> None:
        self.wanted: list[int] = []

    def nearest_to_task(self, task: UUID, limit: int) -> Sequence[Recalled]:
        return self.find(limit).results

    def find(self, limit: int) -> Answer:
        self.wanted.append(limit)
        return Answer(FOUND[:limit], False, "model:2")


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def _launched(stores: Stores, said: Said, shelf: Shelf, share: float, tokens: int = 500) -> tuple[UUID, str]:
    """A task that was launched, and its prompt file."""
    jobs, task = FakeJobs(), stores.accept().run_id
    recipe = replace(RECIPE, holdout_share=share, memory_tokens=tokens)
    Dispatcher(stores, jobs, said, recipe=recipe, memories=shelf).dispatch(task)
    return task, jobs.jobs[resource_name(task, 1)].files["CODEX_PROMPT_FILE"]


def test_without_a_trial_a_prompt_holds_the_most_similar(stores: Stores, said: Said, shelf: Shelf) -> None:
    task, prompt = _launched(stores, said, shelf, 0)
    assert shelf.wanted == [2 * RECIPE.memories]
    assert [one.memory.text in prompt for one in FOUND] == [number < RECIPE.memories for number in range(12)]
    assert stores.trials.known(task, []).arm is Arm.ALL


def test_a_task_that_is_held_out_has_a_prompt_without_memories(stores: Stores, said: Said, shelf: Shelf) -> None:
    task, prompt = _launched(stores, said, shelf, 1)
    assert "recalled-memory" not in prompt and "piece" not in prompt
    known = stores.trials.known(task, [])
    assert (known.arm, known.share) == (Arm.HELD_OUT, 1)


def test_where_a_prompt_may_hold_no_memories_none_are_offered(stores: Stores, said: Said, shelf: Shelf) -> None:
    task, _ = _launched(stores, said, shelf, 0, tokens=0)
    assert shelf.wanted == []
    assert stores.trials.known(task, []).arm is None


def test_a_run_that_asks_is_shown_what_is_decided_for_it(stores: Stores, shelf: Shelf) -> None:
    task = stores.accept().run_id
    asker = Asker(task, "prompt", "default", 1)
    chosen = Choose(stores.trials, 0)(asker, shelf.find, 3)
    assert chosen.answer == Answer(FOUND[:3], False, "model:2")
    assert shelf.wanted == [6]
    held_out = Asker(stores.accept("another").run_id, "prompt", "default", 1)
    chosen = Choose(stores.trials, 1)(held_out, shelf.find, 3)
    assert chosen.offer and chosen.offer.held_out and not chosen.answer.results


def test_a_caller_of_the_api_is_shown_everything_and_takes_part_in_no_trial(stores: Stores, shelf: Shelf) -> None:
    task = stores.accept().run_id
    chosen = Choose(stores.trials, 1)(Asker(task, "prompt", "default", None), shelf.find, 3)
    assert (chosen.answer.results, chosen.offer, shelf.wanted) == (FOUND[:3], None, [3])
    assert stores.trials.known(task, []).arm is None


def test_a_verdict_is_noted_without_credentials_and_only_by_its_tenant(stores: Stores) -> None:
    task = stores.accept().run_id
    secret = "ghp_" + "a1B2" * 9
    Judge(stores.learning)(task, "default", "alice", Judgement.BAD, f"it printed {secret}")
    (told,) = [entry.detail for entry in stores.views.timeline(task, "default") if entry.what == "verdict"]
    assert told["verdict"] == "bad" and told["note"].startswith("it printed") and secret not in told["note"]
    with pytest.raises(NotFound):
        Judge(stores.learning)(task, "elsewhere", "mallory", Judgement.GOOD, "")
