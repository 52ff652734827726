"""When a task counts as a success, and what is summed up of it."""

import math

import pytest

from shared.domain.lift import Sums
from shared.domain.outcome import Judgement, Outcome, success
from shared.domain.run import RunState

ENDS = [state for state in RunState if state.final]


@pytest.mark.parametrize("state", ENDS)
def test_only_a_task_that_succeeded_is_a_success(state: RunState) -> None:
    value = success(state, failed_gate=False, undone=False, verdict=None)
    assert value == (1.0 if state is RunState.SUCCEEDED else 0.0)


@pytest.mark.parametrize(("failed_gate", "undone"), [(True, False), (False, True), (True, True)])
def test_what_failed_a_gate_or_was_undone_is_none(failed_gate: bool, undone: bool) -> None:
    assert success(RunState.SUCCEEDED, failed_gate=failed_gate, undone=undone, verdict=None) == 0.0


@pytest.mark.parametrize("state", ENDS)
@pytest.mark.parametrize("undone", [False, True])
def test_a_verdict_outweighs_everything(state: RunState, undone: bool) -> None:
    assert success(state, failed_gate=undone, undone=undone, verdict=Judgement.GOOD) == 1.0
    assert success(state, failed_gate=undone, undone=undone, verdict=Judgement.BAD) == 0.0


def test_durations_and_costs_are_summed_as_logarithms() -> None:
    of_success, of_duration, of_cost = Outcome(1.0, 100.0, 0.25).sums
    assert of_success == Sums(1, 1.0, 1.0)
    assert of_duration == Sums(1, math.log(100), math.log(100) ** 2)
    assert of_cost == Sums(1, math.log(0.25), math.log(0.25) ** 2)


@pytest.mark.parametrize("amount", [None, 0.0, -3.0])
def test_what_has_no_logarithm_is_left_out(amount: float | None) -> None:
    assert Outcome(0.0, amount, amount).sums == (Sums(1, 0.0, 0.0), Sums(), Sums())
