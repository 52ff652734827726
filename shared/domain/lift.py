"""Whether memory helps: tasks that may be shown memories against those that were held out, by an interval that may be
looked at after every task.

A setting decides for each task by a toss whether it is held out, so the two arms differ by nothing else, and the
difference of their means is what showing memories does, however it is chosen what is shown. What is needed, for each
measure and each share of hold-outs that was ever set, is the count, sum and sum of squares of either arm, over finished
tasks that had candidates (in either arm; the others can show nothing, and would only blur the difference). Measures are
success, in [0, 1], and the logarithms of duration and cost, whose differences are ratios of geometric means.

The interval is an asymptotic confidence sequence: the chance that it ever misses the mean effect so far, at any of the
looks, is at most `ERROR`, and approaches that as `LEAST` grows. (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024,
"Time-uniform central limit theory and asymptotic confidence sequences", theorem 2.2, its `rho` as in appendix B.2; the
effect may change with time, as it does while memories are being learned.)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# The chance that one measure's interval is ever wrong.
ERROR = 0.05

# Before an arm has so many tasks nothing is said: there the normal approximation does not hold.
LEAST = 30

# The number of tasks at which the interval is made to be narrowest.
SHARPEST = 1000

_RHO_SQUARED = (-2 * math.log(ERROR) + math.log(1 - 2 * math.log(ERROR))) / SHARPEST


@dataclass(frozen=True, slots=True)
class Sums:
    """Count, sum and sum of squares of a measure."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        return self.total / self.count

    @property
    def variance(self) -> float:
        return max(0.0, self.squares / self.count - self.mean**2)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.count + other.count, self.total + other.total, self.squares + other.squares)


@dataclass(frozen=True, slots=True)
class Trial:
    """One measure of the tasks that were tossed for with the same share of hold-outs."""

    treated: Sums
    held_out: Sums

    @property
    def count(self) -> int:
        return self.treated.count + self.held_out.count

    @property
    def difference(self) -> float:
        return self.treated.mean - self.held_out.mean

    @property
    def variance(self) -> float:
        """The variance of the difference.

        An arm is taken to vary no less than both together: a few tasks that all went well do not vary at all, and
        would pass for certainty.
        """
        together = (self.treated + self.held_out).variance
        return sum(max(arm.variance, together) / arm.count for arm in (self.treated, self.held_out))


@dataclass(frozen=True, slots=True)
class Lift:
    """A difference treated less held out, or a ratio, between its limits."""

    estimate: float
    low: float
    high: float


def lift(trials: Sequence[Trial]) -> Lift | None:
    """The difference of the means of a measure; None says that there is insufficient data.

    Shares that changed are compared each within itself: tasks before and after the change may differ.
    """
    enough = [trial for trial in trials if min(trial.treated.count, trial.held_out.count) >= LEAST]
    count = sum(trial.count for trial in enough)
    if not count:
        return None
    estimate = sum(trial.count * trial.difference for trial in enough) / count
    variance = sum(trial.count**2 * trial.variance for trial in enough) / count**2
    grown = count * _RHO_SQUARED + 1
    half = math.sqrt(variance * 2 * grown / (count * _RHO_SQUARED) * math.log(math.sqrt(grown) / ERROR))
    return Lift(estimate, estimate - half, estimate + half)


def ratio(of_logarithms: Lift) -> Lift:
    """What the difference of logarithms says of the amounts: the ratio of their geometric means."""
    return Lift(math.exp(of_logarithms.estimate), math.exp(of_logarithms.low), math.exp(of_logarithms.high))


def harms(success: Lift | None) -> bool:
    """Whether memories were shown to do harm, so that the scope is switched off."""
    return success is not None and success.high < 0
