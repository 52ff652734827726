"""The life of a run: which state may follow which. Forward only; final states absorb."""

from enum import StrEnum


class RunState(StrEnum):
    ACCEPTED = "accepted"
    PREPARED = "prepared"
    LAUNCHING = "launching"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELED = "canceled"

    @property
    def final(self) -> bool:
        return not FOLLOWERS[self]


_OPEN = frozenset({RunState.FAILED, RunState.EXPIRED, RunState.CANCELED})

# A fast container reports its end before the dispatcher has noted that it runs,
# so LAUNCHING leads to SUCCEEDED too.
FOLLOWERS: dict[RunState, frozenset[RunState]] = {
    RunState.ACCEPTED: _OPEN | {RunState.PREPARED, RunState.LAUNCHING},
    RunState.PREPARED: _OPEN | {RunState.LAUNCHING},
    RunState.LAUNCHING: _OPEN | {RunState.RUNNING, RunState.SUCCEEDED},
    RunState.RUNNING: _OPEN | {RunState.SUCCEEDED},
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.EXPIRED: frozenset(),
    RunState.CANCELED: frozenset(),
}


def predecessors(state: RunState) -> list[str]:
    """The states from which `state` may be entered, for the one statement that moves runs."""
    return sorted(before.value for before, after in FOLLOWERS.items() if state in after)
