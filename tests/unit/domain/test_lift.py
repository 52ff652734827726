"""The lift is told with an interval that may be looked at after every task, or not at all."""

import math
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.lift import ERROR, LEAST, SHARPEST, Lift, Sums, Trial, harms, lift, ratio

values = st.lists(st.floats(-10, 10), min_size=LEAST, max_size=LEAST + 20)


def successes(count: int, successful: int) -> Sums:
    return Sums(count, successful, successful)


def sums(measured: list[float]) -> Sums:
    return Sums(len(measured), sum(measured), sum(value**2 for value in measured))


def told(trial: Trial) -> Lift:
    found = lift([trial])
    assert found is not None
    return found


class TestLift:
    @pytest.mark.parametrize(("treated", "held_out"), [(0, 0), (900, LEAST - 1), (LEAST - 1, 900)])
    def test_nothing_is_said_while_an_arm_is_small(self, treated: int, held_out: int) -> None:
        assert lift([Trial(successes(treated, treated // 2), successes(held_out, 0))]) is None

    def test_without_a_trial_nothing_is_said(self) -> None:
        assert lift([]) is None

    def test_the_estimate_is_the_difference_of_the_means(self) -> None:
        assert told(Trial(successes(900, 630), successes(100, 60))).estimate == pytest.approx(0.1)

    @given(values, values)
    def test_the_interval_surrounds_its_estimate(self, treated: list[float], held_out: list[float]) -> None:
        found = told(Trial(sums(treated), sums(held_out)))
        assert found.low <= found.estimate <= found.high

    def test_at_its_sharpest_the_interval_is_three_standard_errors_wide_on_either_side(self) -> None:
        """A single look would need 1.96; the rest pays for looking always. By hand from the theorem."""
        treated, held_out = SHARPEST * 9 // 10, SHARPEST // 10
        found = told(Trial(successes(treated, treated // 2), successes(held_out, held_out // 2)))
        error = math.sqrt(0.25 / treated + 0.25 / held_out)
        assert (found.high - found.estimate) / error == pytest.approx(3.035, abs=0.001)

    def test_more_tasks_make_it_narrower(self) -> None:
        widths = [
            found.high - found.low
            for found in (told(Trial(successes(9 * n, 5 * n), successes(n, n // 2))) for n in (50, 100, 1000, 100_000))
        ]
        assert widths == sorted(widths, reverse=True)
        assert widths[-1] < 0.02

    def test_a_few_tasks_that_all_went_well_are_no_certainty(self) -> None:
        found = told(Trial(successes(300, 270), successes(LEAST, LEAST)))
        assert found.low < 0 < found.high

    def test_means_that_are_large_beside_their_differences_do_no_harm(self) -> None:
        found = told(Trial(Sums(100, 1e8, 1e14), Sums(100, 1e8, 1e14)))
        assert found.low <= 0 <= found.high

    def test_shares_that_changed_are_compared_each_within_itself(self) -> None:
        """Hard tasks came with few hold-outs and easy ones with many; pooled, memory would seem to harm."""
        hard = Trial(successes(900, 270), successes(100, 30))
        easy = Trial(successes(500, 450), successes(500, 450))
        found = lift([hard, easy])
        assert found is not None
        assert found.estimate == pytest.approx(0)
        assert told(Trial(hard.treated + easy.treated, hard.held_out + easy.held_out)).high < 0

    def test_a_share_that_was_hardly_used_is_left_out(self) -> None:
        whole = Trial(successes(900, 600), successes(100, 50))
        assert lift([whole, Trial(successes(10, 10), successes(1, 0))]) == lift([whole])

    def test_a_ratio_is_that_of_geometric_means(self) -> None:
        found = ratio(Lift(math.log(0.8), math.log(0.5), math.log(1.1)))
        assert (found.estimate, found.low, found.high) == pytest.approx((0.8, 0.5, 1.1))


class TestHarm:
    def test_only_an_interval_below_zero_is_harm(self) -> None:
        assert harms(Lift(-0.2, -0.3, -0.1))
        assert not harms(Lift(-0.2, -0.5, 0.1))
        assert not harms(Lift(0.2, 0.1, 0.3))

    def test_insufficient_data_is_no_harm(self) -> None:
        assert not harms(None)


def looks(dice: random.Random, rate: float, share: float) -> Iterator[Trial]:
    """The trial after each of 1,000 tasks of which none is changed by being treated."""
    arms = [[0, 0], [0, 0]]
    for _ in range(1000):
        arm = arms[dice.random() < share]
        arm[0] += 1
        arm[1] += dice.random() < rate
        if min(arms[0][0], arms[1][0]) >= LEAST:
            yield Trial(successes(*arms[0]), successes(*arms[1]))


def ever(trials: Iterator[Trial], errors: float | None) -> bool:
    """Whether 0 is ever excluded: by the interval, or by one of so many standard errors."""
    for trial in trials:
        half = told(trial).high - told(trial).estimate if errors is None else errors * math.sqrt(trial.variance)
        if abs(trial.difference) > half:
            return True
    return False


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.97])
def test_whoever_looks_after_every_task_is_hardly_ever_misled(rate: float, share: float) -> None:
    dice = random.Random(8)  # noqa: S311
    assert sum(ever(looks(dice, rate, share), None) for _ in range(60)) <= 60 * ERROR


def test_whoever_looks_at_a_plain_interval_after_every_task_is_often_misled() -> None:
    dice = random.Random(8)  # noqa: S311
    assert sum(ever(looks(dice, 0.5, 0.5), 1.96) for _ in range(100)) >= 20
