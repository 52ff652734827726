"""What is shown is tossed for with odds that are known, and the tosses teach what showing does."""

import math
import subprocess
import sys
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.effect import (
    LEAST_PROPENSITY,
    MOST_PROPENSITY,
    PRIOR_DEVIATION,
    PRIOR_MEAN,
    Candidate,
    Effect,
    Evidence,
    Tally,
    Toss,
    answer,
    base_rate,
    effect,
    is_held_out,
    learned,
    unit,
)

TASK, MEMORY = UUID(int=1), UUID(int=2)
NOT_HELD_OUT = [UUID(int=number) for number in range(400) if not is_held_out(UUID(int=number), 0.1)]

proportions = st.floats(0, 1)
evidence = st.builds(Evidence, st.floats(0, 1e4), st.floats(-1e4, 1e4))
candidates = st.lists(evidence, max_size=12).map(
    lambda each: [Candidate(UUID(int=1000 + number), one) for number, one in enumerate(each)]
)
tasks = st.integers(0, 2**128 - 1).map(lambda number: UUID(int=number))


class TestUnit:
    def test_every_process_has_the_same_number_for_the_same_two(self) -> None:
        asked = (
            f"from uuid import UUID; from shared.domain.effect import unit; print(unit(UUID(int=1), {MEMORY.bytes!r}))"
        )
        told = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True, text=True)
        assert float(told.stdout) == unit(TASK, MEMORY.bytes)

    def test_numbers_are_spread_evenly_over_tasks_and_over_memories(self) -> None:
        for numbers in (
            [unit(UUID(int=number), MEMORY.bytes) for number in range(4000)],
            [unit(TASK, UUID(int=number).bytes) for number in range(4000)],
        ):
            tenths = [sum(int(10 * one) == tenth for one in numbers) for tenth in range(10)]
            assert min(tenths) > 330 and max(tenths) < 470 and sum(tenths) == 4000

    def test_the_share_that_is_held_out_is_the_share_that_was_set(self) -> None:
        held_out = sum(is_held_out(UUID(int=number), 0.1) for number in range(4000))
        assert 330 < held_out < 470

    @given(tasks)
    def test_nothing_or_everything_can_be_held_out_and_more_holds_out_more(self, task: UUID) -> None:
        assert not is_held_out(task, 0) and is_held_out(task, 1)
        assert is_held_out(task, 0.2) or not is_held_out(task, 0.1)


class TestAnswer:
    @given(tasks, candidates, st.integers(0, 6))
    def test_a_second_answer_from_the_same_log_is_the_first(
        self, task: UUID, known: list[Candidate], places: int
    ) -> None:
        assert answer(task, known, places, 0.1) == answer(task, known, places, 0.1)

    @given(tasks, candidates, st.integers(0, 6), st.sampled_from([0, 0.1, 1]))
    def test_no_more_is_shown_than_there_are_places_and_nothing_is_tossed_for_twice(
        self, task: UUID, known: list[Candidate], places: int, share: float
    ) -> None:
        given_out = answer(task, known, places, share)
        assert len(given_out.shown) <= places
        assert len({toss.memory for toss in given_out.tosses}) == len(given_out.tosses) <= len(known)

    @given(st.sampled_from(NOT_HELD_OUT), candidates)
    def test_each_is_shown_with_the_odds_that_are_logged(self, task: UUID, known: list[Candidate]) -> None:
        for toss in answer(task, known, len(known), 0.1).tosses:
            assert toss.shown == (unit(task, toss.memory.bytes) < toss.propensity)
            assert LEAST_PROPENSITY <= toss.propensity <= MOST_PROPENSITY

    @given(st.sampled_from(NOT_HELD_OUT), candidates, st.integers(0, 6))
    def test_the_best_are_offered_first_and_only_full_places_end_the_offers(
        self, task: UUID, known: list[Candidate], places: int
    ) -> None:
        means = {one.memory: effect(one.evidence).mean for one in known}
        given_out = answer(task, known, places, 0.1)
        offered = [means[toss.memory] for toss in given_out.tosses]
        assert offered == sorted(means.values(), reverse=True)[: len(offered)]
        assert len(given_out.shown) == places or len(offered) == len(known)

    def test_a_task_that_is_held_out_is_shown_nothing_and_teaches_nothing_of_memories(self) -> None:
        given_out = answer(TASK, [Candidate(MEMORY, Evidence(100, 100))], 5, 1)
        assert given_out.held_out and not given_out.tosses

    def test_without_a_trial_the_most_similar_are_shown_surely_and_teach_nothing(self) -> None:
        known = [Candidate(UUID(int=number), Evidence(100, -100)) for number in range(7)]
        given_out = answer(TASK, known, 5, 0)
        assert not given_out.held_out
        assert given_out.shown == [one.memory for one in known[:5]]
        assert all(learned(toss, 1, 0.3) == Evidence() for toss in given_out.tosses)

    def test_nothing_is_a_possible_answer(self) -> None:
        known = [Candidate(UUID(int=1000 + number), Evidence(100, -100)) for number in range(3)]
        assert any(not answer(task, known, 5, 0.1).shown for task in NOT_HELD_OUT)


class TestEffect:
    def test_of_an_unknown_memory_the_prior_is_believed_and_a_fair_coin_decides(self) -> None:
        believed = effect(Evidence())
        assert believed.mean == PRIOR_MEAN
        assert believed.deviation == pytest.approx(PRIOR_DEVIATION)
        assert believed.propensity == 0.5

    @pytest.mark.parametrize("truth", [-0.12, 0.0, 0.3])
    def test_much_evidence_outweighs_the_prior(self, truth: float) -> None:
        believed = effect(Evidence(1e5, truth * 1e5))
        assert believed.mean == pytest.approx(truth, abs=1e-3)
        assert believed.deviation < 0.002

    def test_little_evidence_is_doubted(self) -> None:
        assert 0 < effect(Evidence(0.25, 0.5)).mean < 0.03

    @given(evidence)
    def test_propensities_stay_between_their_limits(self, known: Evidence) -> None:
        assert LEAST_PROPENSITY <= effect(known).propensity <= MOST_PROPENSITY

    def test_what_helps_more_or_more_surely_is_shown_more(self) -> None:
        assert Effect(-0.02, 0.1).propensity < 0.5 < Effect(0.02, 0.1).propensity < Effect(0.02, 0.05).propensity

    @given(proportions, proportions, proportions, st.floats(LEAST_PROPENSITY, MOST_PROPENSITY))
    def test_the_odds_of_the_toss_make_credit_unbiased_whatever_the_base(
        self, if_shown: float, if_withheld: float, base: float, propensity: float
    ) -> None:
        shown = learned(Toss(MEMORY, propensity, True), if_shown, base)
        withheld = learned(Toss(MEMORY, propensity, False), if_withheld, base)
        expected = propensity * shown.credit + (1 - propensity) * withheld.credit
        assert expected == pytest.approx(shown.information * (if_shown - if_withheld), abs=1e-12)

    def test_evidence_adds_up(self) -> None:
        assert Evidence(1, 2) + Evidence(3, -5) == Evidence(4, -3)


class TestBaseRate:
    def test_a_new_topic_has_the_rate_of_its_scope(self) -> None:
        assert base_rate(Tally(), Tally(998, 299)) == pytest.approx(0.3)

    def test_a_known_topic_has_its_own(self) -> None:
        assert base_rate(Tally(10_000, 9_000), Tally(20_000, 10_000)) == pytest.approx(0.9, abs=1e-3)

    def test_nothing_known_is_even_odds(self) -> None:
        assert base_rate(Tally(), Tally()) == 0.5

    @given(st.integers(0, 10_000), proportions, st.integers(0, 10_000))
    def test_no_success_is_ever_certain(self, count: int, rate: float, others: int) -> None:
        topic = Tally(count, rate * count)
        found = base_rate(topic, Tally(count + others, topic.successes + others))
        assert 0 < found < 1 and math.isfinite(found)
