"""The lift of a scope, a tenant and a repository: how its tasks fare with memories, and whether it is switched off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.lift import Lift, Sums, Trial, harms, lift, ratio

INSUFFICIENT = "insufficient data"

# Success, and the logarithms of duration and cost, over the tasks of an arm.
Measures = tuple[Sums, Sums, Sums]


@dataclass(frozen=True, slots=True)
class Arms:
    """The tasks of a scope that were tossed for with one share of hold-outs."""

    treated: Measures = (Sums(), Sums(), Sums())
    held_out: Measures = (Sums(), Sums(), Sums())


@dataclass(frozen=True, slots=True)
class ScopeLift:
    """What is known of a scope since it was last switched on; `trials` are by the share of hold-outs."""

    tenant: str
    repository: str
    trials: Mapping[float, Arms]
    off_since: datetime | None = None
    off_why: str = ""

    @property
    def name(self) -> str:
        """As it is shown to who operates all tenants."""
        return f"{self.tenant}:{self.repository}"

    @property
    def counts(self) -> tuple[int, int]:
        """Finished tasks that may be shown memories, and those that were held out."""
        every = self._trials(0)
        return sum(trial.treated.count for trial in every), sum(trial.held_out.count for trial in every)

    @property
    def success(self) -> Lift | None:
        """The difference of the rates of success; None says that there is insufficient data."""
        return lift(self._trials(0))

    @property
    def duration(self) -> Lift | None:
        """The ratio of durations."""
        return _ratio(self._trials(1))

    @property
    def cost(self) -> Lift | None:
        """The ratio of costs."""
        return _ratio(self._trials(2))

    @property
    def why_harmful(self) -> str | None:
        """What shows that memories do harm; None unless they do."""
        found = self.success
        if found is None or not harms(found):
            return None
        interval = f"{found.estimate:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
        return f"success differs by {interval} with memories, over {sum(self.counts)} tasks"

    def _trials(self, measure: int) -> list[Trial]:
        return [Trial(arms.treated[measure], arms.held_out[measure]) for arms in self.trials.values()]


def _ratio(trials: Sequence[Trial]) -> Lift | None:
    found = lift(trials)
    return found and ratio(found)


def document(scope: ScopeLift) -> dict[str, object]:
    """A scope as it is told as JSON, without its tenant. Success is a difference, duration and cost are ratios."""
    treated, held_out = scope.counts
    off = None if scope.off_since is None else {"since": scope.off_since.isoformat(), "why": scope.off_why}
    return {
        "repository": scope.repository,
        "tasks": {"treated": treated, "holdout": held_out},
        "success": _told(scope.success),
        "duration": _told(scope.duration),
        "cost": _told(scope.cost),
        "off": off,
    }


def _told(found: Lift | None) -> dict[str, float] | str:
    if found is None:
        return INSUFFICIENT
    return {"estimate": round(found.estimate, 4), "low": round(found.low, 4), "high": round(found.high, 4)}
