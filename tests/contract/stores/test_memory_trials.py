"""What is promised of offers: decided once for a task, noted with their odds, and taught by what became of it."""

from collections.abc import Iterator, Sequence
from itertools import count
from uuid import UUID, uuid4

import pytest

from shared.domain.effect import Evidence, Tally, base_rate, is_held_out
from shared.domain.ids import run_id, stable_id
from shared.domain.lift import LEAST, Sums
from shared.domain.memory import Recalled
from shared.domain.memory_index import Filters, MemoryRow, Question
from shared.domain.offer import Arm, Offered, offer
from shared.domain.outcome import Judgement
from shared.domain.policy import Verdict
from shared.domain.report import End, Report
from shared.domain.run import RunState
from shared.domain.task import Target
from tests.contract.stores.conftest import Stores

MODEL = "model:2"
SHARE = 0.3
PLACES = 3
ALLOWED = Verdict(True, "ci", "", "v1")


@pytest.fixture(autouse=True)
def in_use(stores: Stores) -> None:
    stores.models.in_use(MODEL)


@pytest.fixture
def found(stores: Stores) -> Sequence[Recalled]:
    """Five memories of other tasks, in an order."""
    for number in range(5):
        earlier = stores.accept(f"earlier {number}").run_id
        (text,) = stores.memories.missing([earlier], 9)
        vector = (1.0, number / 10)
        row = MemoryRow(stable_id("memory", str(number)), text, 0, text.text, text.text.encode(), vector, MODEL)
        stores.memories.store([row], None, None)
    return stores.search.search(Question(MODEL, vector=(1.0, 0.0)), Filters("default", uuid4()), 9)


def names(held_out: bool) -> Iterator[str]:
    """Deliveries of tasks that are held out, or are not."""
    return (name for name in map("task {}".format, count()) if is_held_out(run_id(name), SHARE) == held_out)


def ask(stores: Stores, task: UUID, found: Sequence[Recalled], share: float = SHARE, attempt: int = 1) -> Offered:
    return stores.trials.choose(task, attempt, found, PLACES, share)


def brief(stores: Stores, task: UUID, found: Sequence[Recalled]) -> Offered:
    """An offer in the prompt, as the dispatcher makes it."""
    run, ids = stores.claim(task), [one.memory.id for one in found]
    decided = offer(task, ids, PLACES, SHARE, stores.trials.known(task, ids))
    offered = Offered(decided, found, [one for one in found if one.memory.id in decided.shown])
    stores.launches.brief(run, "do it", offered, None, ALLOWED)
    assert stores.launched(run, f"job-{task}")
    return offered


def end(stores: Stores, task: UUID, state: RunState = RunState.SUCCEEDED, dollars: float = 0.0) -> None:
    end_unheard(stores, task, state, dollars)
    stores.learning.learn(task)


def end_unheard(stores: Stores, task: UUID, state: RunState = RunState.SUCCEEDED, dollars: float = 0.0) -> None:
    """The task ends, and who learns is not told."""
    usage = {"costUsd": dollars} if dollars else None
    stores.reports.record(task, 1, [Report("end", 1, "usage", usage=usage)], End(state, "", ""), None)


def shown(stores: Stores, task: UUID) -> list[tuple[str, str]]:
    """What the timeline says."""
    entries = stores.views.timeline(task, "default")
    return [(one.detail["channel"], one.detail["memoryId"]) for one in entries if one.what == "memory shown"]


def evidence(stores: Stores, task: UUID, offered: Offered) -> dict[UUID, Evidence]:
    known = stores.trials.known(task, [one.memory.id for one in offered.found]).evidence
    return {memory: one for memory, one in known.items() if one != Evidence()}


def test_a_task_is_shown_the_same_by_either_channel_and_in_every_attempt(
    stores: Stores, found: Sequence[Recalled]
) -> None:
    for name, _ in zip(names(held_out=False), range(8), strict=False):
        task = stores.accept(name).run_id
        first = brief(stores, task, found)
        assert first.offer.arm is Arm.TREATED
        for attempt in (1, 1, 2):
            again = ask(stores, task, found, attempt=attempt)
            assert (set(again.offer.tosses), again.answer) == (set(first.offer.tosses), first.answer)
        told = shown(stores, task)
        by_prompt = [("prompt", str(one.memory.id)) for one in first.answer]
        assert sorted(told) == sorted(by_prompt + 2 * [("query", memory) for _, memory in by_prompt])


def test_a_toss_is_repeated_when_more_is_known_and_when_the_share_is_another(
    stores: Stores, found: Sequence[Recalled]
) -> None:
    some = names(held_out=False)
    task, other = (stores.accept(next(some)).run_id for _ in range(2))
    first = brief(stores, task, found)
    brief(stores, other, found)
    end(stores, other, RunState.FAILED)
    assert stores.trials.known(task, [found[0].memory.id]).scope == Tally(1, 0.0)
    for share in (SHARE, 0, 0.5):
        again = ask(stores, task, found, share)
        assert (again.answer, again.offer.share) == (first.answer, SHARE)
        assert set(again.offer.tosses) <= set(first.offer.tosses)


def test_a_task_that_is_held_out_is_shown_nothing_by_either_channel_and_counts(
    stores: Stores, found: Sequence[Recalled]
) -> None:
    task = stores.accept(next(names(held_out=True))).run_id
    for offered in (brief(stores, task, found), ask(stores, task, found), ask(stores, task, found, 0)):
        assert (offered.offer.held_out, offered.offer.off, offered.answer) == (True, False, [])
    end(stores, task)
    (scope,) = stores.learning.lift()
    assert scope.counts == (0, 1)
    assert shown(stores, task) == []


def test_without_a_trial_everything_is_shown_and_nothing_is_learned(stores: Stores, found: Sequence[Recalled]) -> None:
    task = stores.accept(next(names(held_out=True))).run_id
    stores.launch(task)
    offered = ask(stores, task, found, 0)
    assert (offered.offer.arm, offered.answer) == (Arm.ALL, list(found[:PLACES]))
    assert ask(stores, task, found, SHARE).answer == offered.answer
    end(stores, task)
    assert evidence(stores, task, offered) == {}
    (scope,) = stores.learning.lift()
    assert (scope.counts, scope.success) == ((0, 0), None)


def test_a_task_for_which_nothing_is_found_is_in_no_arm(stores: Stores) -> None:
    task = stores.accept(next(names(held_out=False))).run_id
    stores.launch(task)
    assert ask(stores, task, []).answer == []
    assert stores.trials.known(task, []).arm is None
    end(stores, task)
    assert stores.learning.lift() == []


def test_an_outcome_teaches_of_each_toss_by_its_odds_and_only_once(stores: Stores, found: Sequence[Recalled]) -> None:
    task = stores.accept(next(names(held_out=False))).run_id
    offered = brief(stores, task, found)
    stores.learning.learn(task)
    assert evidence(stores, task, offered) == {}, "it has not ended"
    end(stores, task)
    for _ in range(3):
        stores.learning.learn(task)
    taught = evidence(stores, task, offered)
    assert taught.keys() == {toss.memory for toss in offered.offer.tosses}
    for toss in offered.offer.tosses:
        assert taught[toss.memory].information == pytest.approx(toss.propensity * (1 - toss.propensity))
        assert taught[toss.memory].credit == pytest.approx((toss.shown - toss.propensity) * 0.5)
    known = stores.trials.known(task, [])
    assert known.scope == known.topic == Tally(1, 1.0)


def test_what_is_asked_for_after_the_end_teaches_nothing(stores: Stores, found: Sequence[Recalled]) -> None:
    task = stores.accept(next(names(held_out=False))).run_id
    first = brief(stores, task, found[:1])
    end(stores, task)
    ask(stores, task, found)
    stores.learning.judge(task, "default", "alice", Judgement.BAD, "")
    assert evidence(stores, task, Offered(first.offer, found, [])).keys() == {found[0].memory.id}


def test_nor_if_the_end_is_heard_of_later(stores: Stores, found: Sequence[Recalled]) -> None:
    some = names(held_out=False)
    task, late = (stores.accept(next(some)).run_id for _ in range(2))
    first = brief(stores, task, found[:1])
    stores.launch(late)
    for one in (task, late):
        end_unheard(stores, one)
        ask(stores, one, found)
    stores.learning.catch_up(older_than=0)
    stores.learning.judge(late, "default", "alice", Judgement.BAD, "")
    assert evidence(stores, task, Offered(first.offer, found, [])).keys() == {found[0].memory.id}
    assert stores.trials.known(task, []).scope == Tally(1, 1.0)


def test_an_outcome_that_nobody_was_told_of_is_learned_from_later_and_once(
    stores: Stores, found: Sequence[Recalled]
) -> None:
    some = names(held_out=False)
    tasks = [stores.accept(next(some), repository="o/r").run_id for _ in range(4)]
    offered = [brief(stores, task, found) for task in tasks]
    for task in tasks[:3]:
        end_unheard(stores, task)
    stores.learning.catch_up()
    assert stores.trials.known(tasks[0], []).scope == Tally(), "they may be told of still"
    for learned in (2, 3, 3):
        stores.learning.catch_up(limit=2, older_than=0)
        assert stores.trials.known(tasks[0], []).scope == Tally(learned, float(learned))
    for task, one in zip(tasks[:3], offered, strict=False):
        assert evidence(stores, task, one).keys() >= {toss.memory for toss in one.offer.tosses}
    assert stores.trials.known(tasks[3], []).arm is Arm.TREATED


def test_the_latest_verdict_outweighs_how_the_task_ended(stores: Stores, found: Sequence[Recalled]) -> None:
    task = stores.accept(next(names(held_out=False))).run_id
    offered = brief(stores, task, found)
    end(stores, task)
    good = evidence(stores, task, offered)
    for said, successes in (("bad", 0.0), ("bad", 0.0), ("good", 1.0), ("bad", 0.0)):
        assert stores.learning.judge(task, "default", "alice", Judgement(said), "it does not compile")
        assert stores.trials.known(task, []).scope == Tally(1, successes)
    bad = evidence(stores, task, offered)
    for toss in offered.offer.tosses:
        assert bad[toss.memory].information == pytest.approx(good[toss.memory].information)
        assert bad[toss.memory].credit == pytest.approx(-good[toss.memory].credit)
    told = [one.detail for one in stores.views.timeline(task, "default") if one.what == "verdict"]
    assert [one["verdict"] for one in told] == ["bad", "good", "bad"]
    assert told[0] == {"caller": "alice", "verdict": "bad", "note": "it does not compile"}


def test_a_verdict_before_the_end_counts_then(stores: Stores, found: Sequence[Recalled]) -> None:
    task = stores.accept(next(names(held_out=False))).run_id
    brief(stores, task, found)
    assert stores.learning.judge(task, "default", "alice", Judgement.GOOD, "")
    assert stores.trials.known(task, []).scope == Tally()
    end(stores, task, RunState.FAILED)
    assert stores.trials.known(task, []).scope == Tally(1, 1.0)


def test_nobody_judges_the_task_of_another_tenant(stores: Stores, found: Sequence[Recalled]) -> None:
    task = stores.accept("of another", tenant="elsewhere").run_id
    for unknown in (task, uuid4()):
        assert not stores.learning.judge(unknown, "default", "alice", Judgement.BAD, "")
    assert [one.what for one in stores.views.timeline(task, "elsewhere")] == ["accepted"]


def test_a_task_without_memories_may_be_judged(stores: Stores) -> None:
    task = stores.accept("alone").run_id
    assert stores.learning.judge(task, "default", "alice", Judgement.GOOD, "")
    assert stores.story(task) == ["accepted", "verdict"]


def test_topics_and_scopes_are_counted_each_for_itself(stores: Stores, found: Sequence[Recalled]) -> None:
    some = names(held_out=False)
    pod, job = Target("v1", "Pod", "n", "a"), Target("batch/v1", "Job", "n", "a")
    first = stores.accept(next(some), repository="o/r", targets=(pod,)).run_id
    second = stores.accept(next(some), repository="o/r", targets=(job, pod)).run_id
    elsewhere = stores.accept(next(some), repository="o/other", targets=(pod,)).run_id
    brief(stores, first, found)
    end(stores, first)
    known = stores.trials.known(second, [])
    assert (known.topic, known.scope) == (Tally(), Tally(1, 1.0))
    assert brief(stores, second, found).offer.base == base_rate(Tally(), Tally(1, 1.0))
    assert stores.trials.known(elsewhere, []).scope == Tally()


def test_the_lift_has_the_sums_of_either_arm_and_costs_that_are_known(
    stores: Stores, found: Sequence[Recalled]
) -> None:
    treated, held_out = names(held_out=False), names(held_out=True)
    paid = stores.accept(next(treated), repository="o/r").run_id
    free = stores.accept(next(treated), repository="o/r").run_id
    failed = stores.accept(next(held_out), repository="o/r").run_id
    for task in (paid, free, failed):
        brief(stores, task, found)
    end(stores, paid, dollars=2.5)
    end(stores, free)
    end(stores, failed, RunState.FAILED, dollars=1.0)
    (scope,) = stores.learning.lift("default", "o/r")
    assert (scope.tenant, scope.repository, scope.off_since) == ("default", "o/r", None)
    arms = scope.trials[SHARE]
    assert (arms.treated[0], arms.held_out[0]) == (Sums(2, 2.0, 2.0), Sums(1, 0.0, 0.0))
    assert (arms.treated[1].count, arms.held_out[1].count) == (2, 1)
    assert arms.treated[2].count == arms.held_out[2].count == 1
    assert arms.treated[2].total == pytest.approx(0.9162907)
    assert arms.held_out[2].total == pytest.approx(0)
    assert stores.learning.lift("default", "o/other") == stores.learning.lift("elsewhere") == []
    assert stores.learning.lift() == stores.learning.lift("default") == [scope]


def harmed(stores: Stores, found: Sequence[Recalled]) -> None:
    """Every task that may be shown memories fails, and every one that is held out succeeds."""
    for held_out, state in ((True, RunState.SUCCEEDED), (False, RunState.FAILED)):
        for name, _ in zip(names(held_out), range(2 * LEAST), strict=False):
            task = stores.accept(name, repository="o/r").run_id
            stores.launch(task, f"job-{task}")
            ask(stores, task, found[:1])
            end(stores, task, state)


def test_a_scope_in_which_memories_harm_is_off_until_somebody_switches_it_on(
    stores: Stores, found: Sequence[Recalled]
) -> None:
    harmed(stores, found)
    (scope,) = stores.learning.lift()
    assert scope.off_since and "success differs by -" in scope.off_why
    assert scope.success and scope.success.high < 0
    refused = stores.accept("after all that", repository="o/r").run_id
    offered = ask(stores, refused, found)
    assert (offered.offer.arm, offered.offer.off, offered.answer) == (Arm.OFF, True, [])
    elsewhere = stores.accept("elsewhere 1", repository="o/other").run_id
    assert not ask(stores, elsewhere, found).offer.off
    assert not stores.learning.switch_on("default:o/other")
    assert stores.learning.switch_on("default:o/r")
    assert not stores.learning.switch_on("default:o/r")
    (scope,) = stores.learning.lift(repository="o/r")
    assert (scope.off_since, scope.counts, scope.success) == (None, (0, 0), None)
    fresh = stores.accept("after 1", repository="o/r").run_id
    assert not ask(stores, fresh, found).offer.off
    assert ask(stores, refused, found).offer.off, "a task keeps its arm"
    assert stores.trials.known(fresh, []).scope.count == 4 * LEAST, "what was learned stays"


def test_an_outcome_that_comes_late_does_not_switch_a_scope_on_again(stores: Stores, found: Sequence[Recalled]) -> None:
    harmed(stores, found)
    (before,) = stores.learning.lift()
    for name, _ in zip(names(held_out=False), range(2 * LEAST), strict=False):
        stores.learning.judge(run_id(name), "default", "alice", Judgement.GOOD, "")
    (after,) = stores.learning.lift()
    assert after.success and after.success.high >= 0
    assert (after.off_since, after.off_why) == (before.off_since, before.off_why)
