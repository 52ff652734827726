"""What policies make of a world, and what the interval says while it is looked at after every task."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.effect import is_held_out
from shared.domain.lift import Lift, Sums, Trial, harms, lift
from tests.simulation.policies import HOLD_OUT, JointCrediting, Ours, Policy, SimilarityAlone
from tests.simulation.world import DELAY, Memory, Outcome, Task, Tasks, World

LEARNING = 3000
JUDGED = 500


@dataclass(slots=True)
class Figures:
    """Of the tasks that are judged and not held out: how many there are, what they gain, what they are shown."""

    tasks: int = 0
    gain: float = 0.0
    shown: int = 0
    helpful: int = 0
    harmful: int = 0

    @property
    def lift(self) -> float:
        return self.gain / self.tasks

    @property
    def harmful_share(self) -> float:
        return self.harmful / self.shown

    def count(self, task: Task, shown: Sequence[Memory]) -> None:
        self.tasks += 1
        self.gain += task.gain(shown)
        self.shown += len(shown)
        self.helpful += sum(memory.effect > 0 for memory in shown)
        self.harmful += sum(memory.effect < 0 for memory in shown)


def compare(world: World, seeds: Sequence[int]) -> dict[str, Figures]:
    """What each policy does with the tasks after the first `LEARNING`, over all seeds."""
    figures = {"similarity alone": Figures(), "joint crediting": Figures(), "ours": Figures()}
    for seed in seeds:
        tasks = Tasks(world, seed).take(LEARNING + JUDGED)
        policies: dict[str, Policy] = dict(zip(figures, (SimilarityAlone(), JointCrediting(seed), Ours()), strict=True))
        for name, policy in policies.items():
            holds_out = isinstance(policy, Ours)
            for number, (task, shown, _) in enumerate(_answered(policy, tasks)):
                if number >= LEARNING and not (holds_out and is_held_out(task.id, HOLD_OUT)):
                    figures[name].count(task, shown)
    return figures


def _answered(
    policy: Policy, tasks: Sequence[Task]
) -> Iterator[tuple[Task, Sequence[Memory], list[tuple[Task, Outcome]]]]:
    """Each task with what it is shown, and those that have finished meanwhile, of which the policy then knows."""
    open_tasks: deque[tuple[Task, Outcome]] = deque()
    for task in tasks:
        shown = policy.show(task)
        open_tasks.append((task, task.outcome(shown)))
        finished = [open_tasks.popleft()] if len(open_tasks) > DELAY else []
        for ended in finished:
            policy.learn(*ended)
        yield task, shown, finished


MEASURES = ("success", "duration", "cost")


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen of the interval of each measure: the last one, and which ones ever excluded that nothing is gained.

    `off_after` is the number of tasks after which the scope was switched off, which ends the watch.
    """

    last: Mapping[str, Lift | None]
    excluded: frozenset[str]
    off_after: int | None


def watch(world: World, seed: int, count: int) -> Watched:
    """Our policy in a world, and the lift as it is reported, looked at after each of `count` tasks."""
    arms = {measure: [Sums(), Sums()] for measure in MEASURES}
    last: dict[str, Lift | None] = {}
    excluded: set[str] = set()
    for number, (_, _, finished) in enumerate(_answered(Ours(), Tasks(world, seed).take(count)), 1):
        for task, outcome in finished:
            for measure, sums in arms.items():
                value = getattr(outcome, measure)
                sums[is_held_out(task.id, HOLD_OUT)] += Sums(1, value, value**2)
        last = {measure: lift([Trial(*sums)]) for measure, sums in arms.items()}
        excluded |= {measure for measure, found in last.items() if found and not found.low <= 0 <= found.high}
        if harms(last["success"]):
            return Watched(last, frozenset(excluded), number)
    return Watched(last, frozenset(excluded), None)
