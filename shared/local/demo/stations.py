"""The stations that every task of the demo must really have reached."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from shared.postgres.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Station:
    """One thing that must have happened to a task, and the function that did it."""

    name: str
    function: str
    reached: Callable[[Evidence], bool]


STATIONS = (
    Station("stored in ideas, tasks, task_runs, codex_tasks", "codex-intake", lambda seen: seen.stored),
    Station("prompt embedded", "embedder", lambda seen: "prompt" in seen.embedded),
    Station("launched once", "dispatcher", lambda seen: seen.launched and seen.attempts == 1),
    Station("progress reported", "callback", lambda seen: "progress" in seen.reported),
    Station("artifact uploaded and verified", "callback", lambda seen: bool(seen.artifacts)),
    Station("snapshots before and after", "callback", lambda seen: {"before", "after"} <= set(seen.snapshots)),
    Station("completed", "callback", lambda seen: seen.status == "succeeded" and "completed" in seen.reported),
    Station(
        "snapshots and outcome embedded", "embedder", lambda seen: {"snapshot-after", "outcome"} <= set(seen.embedded)
    ),
)


def missed(seen: Evidence | None) -> list[Station]:
    """The stations that a task has not reached."""
    return [station for station in STATIONS if seen is None or not station.reached(seen)]


def given_memory_of(seen: Evidence, earlier: UUID) -> bool:
    """Whether a task got a memory of an earlier task in its prompt, and again when it asked."""
    return earlier in seen.shown and earlier in seen.asked
