"""What is told of a scope is the lift of its sums."""

import math
from datetime import UTC, datetime

import pytest

from shared.domain.lift import LEAST, Sums, Trial, lift, ratio
from shared.domain.scope_lift import Arms, ScopeLift, document

MANY = 400


def measures(count: int, rate: float, seconds: float, dollars: float) -> tuple[Sums, Sums, Sums]:
    """So many tasks; the logarithms of what they took are spread a little."""
    wins = round(count * rate)
    return Sums(count, wins, wins), _spread(count, math.log(seconds)), _spread(count, math.log(dollars))


def _spread(count: int, mean: float) -> Sums:
    return Sums(count, count * mean, count * (mean**2 + 0.01))


HELPFUL = Arms(measures(MANY, 0.9, 50, 2), measures(MANY, 0.4, 100, 1))
HARMFUL = Arms(measures(MANY, 0.4, 100, 1), measures(MANY, 0.9, 50, 2))


def test_each_measure_has_its_lift_over_all_shares() -> None:
    scope = ScopeLift("t", "o/r", {0.1: HELPFUL, 0.3: HARMFUL})
    trials = [Trial(arms.treated[0], arms.held_out[0]) for arms in (HELPFUL, HARMFUL)]
    assert scope.success == lift(trials)
    assert scope.counts == (2 * MANY, 2 * MANY)


def test_durations_and_costs_are_ratios() -> None:
    scope = ScopeLift("t", "o/r", {0.1: HELPFUL})
    found = lift([Trial(HELPFUL.treated[1], HELPFUL.held_out[1])])
    assert found and scope.duration == ratio(found)
    assert scope.duration.estimate == pytest.approx(0.5)
    assert scope.cost and scope.cost.estimate == pytest.approx(2)


def test_a_scope_is_harmful_only_if_its_interval_says_so() -> None:
    assert ScopeLift("t", "o/r", {0.1: HELPFUL}).why_harmful is None
    assert ScopeLift("t", "o/r", {}).why_harmful is None
    why = ScopeLift("t", "o/r", {0.1: HARMFUL}).why_harmful
    assert why and why.startswith("success differs by -0.500 (-0.") and why.endswith("over 800 tasks")


def test_what_is_not_enough_is_said_to_be_so() -> None:
    few = measures(LEAST - 1, 0.5, 10, 1)
    told = document(ScopeLift("t", "o/r", {0.1: Arms(few, few)}))
    assert (told["success"], told["duration"], told["cost"]) == ("insufficient data",) * 3
    assert (told["tasks"], told["off"]) == ({"treated": LEAST - 1, "holdout": LEAST - 1}, None)


def test_the_document_does_not_name_the_tenant_and_says_why_a_scope_is_off() -> None:
    at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    told = document(ScopeLift("secret tenant", "o/r", {0.1: HARMFUL}, at, "it harms"))
    assert "secret tenant" not in str(told)
    assert told["off"] == {"since": "2026-01-02T03:04:00+00:00", "why": "it harms"}
    assert told["success"] == {
        "estimate": -0.5,
        "low": pytest.approx(-0.6, abs=0.1),
        "high": pytest.approx(-0.4, abs=0.1),
    }
