"""The life of a run: forward only within an attempt, and final states absorb."""

from shared.domain.run import FOLLOWERS, RunState, predecessors

FINAL = {RunState.SUCCEEDED, RunState.FAILED, RunState.EXPIRED, RunState.CANCELED, RunState.DENIED}


def reachable(state: RunState) -> set[RunState]:
    found: set[RunState] = set()
    waiting = [state]
    while waiting:
        for after in FOLLOWERS[waiting.pop()] - found:
            found.add(after)
            waiting.append(after)
    return found


def test_every_state_is_known_and_five_are_final() -> None:
    assert FOLLOWERS.keys() == set(RunState)
    assert {state for state in RunState if state.final} == FINAL


def test_no_state_is_ever_entered_twice() -> None:
    for state in RunState:
        assert state not in reachable(state)


def test_every_open_state_can_fail_expire_and_be_canceled_and_leads_to_an_end() -> None:
    for state in set(RunState) - FINAL:
        assert FINAL - {RunState.SUCCEEDED, RunState.DENIED} <= FOLLOWERS[state]
        assert RunState.SUCCEEDED in reachable(state)


def test_nothing_succeeds_that_was_never_launched() -> None:
    assert predecessors(RunState.SUCCEEDED) == ["running"]
    assert predecessors(RunState.ACCEPTED) == []
    assert predecessors(RunState.LAUNCHING) == ["queued"]
    assert predecessors(RunState.RUNNING) == ["launching"]


def test_what_runs_is_not_denied_any_more() -> None:
    assert predecessors(RunState.DENIED) == ["accepted", "launching", "prepared", "queued"]
