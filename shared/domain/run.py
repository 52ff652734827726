"""The life of a run: which state may follow which. Forward only within an attempt; final states absorb."""

from enum import StrEnum


class RunState(StrEnum):
    ACCEPTED = "accepted"
    PREPARED = "prepared"
    QUEUED = "queued"
    LAUNCHING = "launching"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELED = "canceled"
    DENIED = "denied"

    @property
    def final(self) -> bool:
        return not FOLLOWERS[self]


_OPEN = frozenset({RunState.FAILED, RunState.EXPIRED, RunState.CANCELED})
_UNLAUNCHED = _OPEN | {RunState.DENIED}

FOLLOWERS: dict[RunState, frozenset[RunState]] = {
    RunState.ACCEPTED: _UNLAUNCHED | {RunState.PREPARED, RunState.QUEUED},
    RunState.PREPARED: _UNLAUNCHED | {RunState.QUEUED},
    RunState.QUEUED: _UNLAUNCHED | {RunState.LAUNCHING},
    # A job is noted as running before it is let go, so no container can end a run earlier.
    RunState.LAUNCHING: _UNLAUNCHED | {RunState.RUNNING},
    RunState.RUNNING: _OPEN | {RunState.SUCCEEDED},
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.EXPIRED: frozenset(),
    RunState.CANCELED: frozenset(),
    RunState.DENIED: frozenset(),
}

# From here a run may be queued once more, as its next attempt.
RETRIED_FROM = (RunState.LAUNCHING, RunState.RUNNING)


def predecessors(state: RunState) -> list[str]:
    """The states from which `state` may be entered, for the one statement that moves runs."""
    return sorted(before.value for before, after in FOLLOWERS.items() if state in after)
