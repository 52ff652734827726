"""Worlds in which it is known what each memory does, for policies to be compared in.

Topics stand in a ring, and each has its own base rate of success. A task belongs to a topic; what resembles it are 8 to
10 memories, in an order that says nothing of their use: about 7 of 10 are of its own topic and the others of the two
next to it. At most 5 are shown. Each adds its effect to the probability of success, which stays between 0.02 and 0.98.
Memories keep on appearing, one every 50 tasks, and nobody says which are new. Durations are lognormal: their logarithm
falls by as much as success rises; costs follow durations. What became of a task is known 10 tasks later.

`PLAIN` was chosen before any policy was tried: 12 topics with base rates from 0.35 to 0.75, 6 memories in each at the
start, of which 28 % help by 0.12, 22 % harm by 0.12 and 50 % do neither. Which of its topic's memories a task resembles
is pure chance there, so that joint crediting compares like with like; it does as well as anything can.

`MISLEADING` was chosen later, to see what happens where it does not. Tasks are hard or easy, by 0.2 of success either
way, and no topic says which. Memories are warnings, which mostly hard tasks resemble, or recipes, which mostly easy
ones resemble (70 %), 4 of each in each of 10 topics. Warnings help more often than recipes (20 % against 8 %) and harm
less often (16 % against 28 %), but it is recipes that are followed by success. Most memories (64 %) do neither.

In other worlds that were tried ours lifts 0.9 to 1.1 times as much as joint crediting where 28 % of the memories help,
and 1.0 to 2.5 times as much where 14 % do, the more so the less alike the odds of what a task resembles.

`INERT` and `HARMFUL` are `PLAIN` with memories that all do nothing, or all harm by 0.12.

All of them have memories that come back. One that resembles a single task in its life can be judged by nobody.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

PLACES = 5
DELAY = 10
TASKS_PER_NEW_MEMORY = 50
OF_OWN_TOPIC = 0.7
EFFECT = 0.12


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort of memories, their effects in turn, and what a task that resembles them adds to the base rate."""

    effects: Sequence[float]
    ease: float = 0.0


@dataclass(frozen=True, slots=True)
class World:
    """How a world is made. `match` is the share of a task's candidates that are of its own sort."""

    sorts: Sequence[Sort]
    topics: int = 12
    memories_per_topic: int = 6
    match: float = 1.0


def effects(helpful: int, harmful: int) -> Sequence[float]:
    """The effects of a hundred memories."""
    return [EFFECT] * helpful + [0.0] * (100 - helpful - harmful) + [-EFFECT] * harmful


PLAIN = World([Sort(effects(28, 22))])
MISLEADING = World([Sort(effects(20, 16), -0.2), Sort(effects(8, 28), 0.2)], 10, 8, 0.7)
INERT = replace(PLAIN, sorts=[Sort(effects(0, 0))])
HARMFUL = replace(PLAIN, sorts=[Sort(effects(0, 100))])


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory, and what it adds to the probability of success when it is shown."""

    id: UUID
    effect: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task: success is 0 or 1, the others are logarithms."""

    success: float
    duration: float
    cost: float


@dataclass(frozen=True, slots=True)
class Task:
    """A task, what resembles it, and its luck, which is the same whatever it is shown."""

    id: UUID
    topic: int
    base_rate: float
    candidates: Sequence[Memory]
    luck: float
    slowness: float
    price: float

    def gain(self, shown: Sequence[Memory]) -> float:
        """How much more probable success is than with nothing shown."""
        return min(max(self.base_rate + sum(memory.effect for memory in shown), 0.02), 0.98) - self.base_rate

    def outcome(self, shown: Sequence[Memory]) -> Outcome:
        """What becomes of the task if it is shown these."""
        gain = self.gain(shown)
        duration = 6 + 0.7 * self.slowness - gain
        return Outcome(float(self.luck < self.base_rate + gain), duration, duration - 9 + 0.4 * self.price)


class Tasks:
    """The tasks of a world, the same for the same seed; `memories` are by sort and topic."""

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._dice = world, random.Random(seed)  # noqa: S311
        self._base_rates = [self._dice.uniform(0.35, 0.75) for _ in range(world.topics)]
        self._decks: list[list[float]] = [[] for _ in world.sorts]
        each = range(world.memories_per_topic // len(world.sorts))
        self._memories = [
            [[self._memory(sort) for _ in each] for _ in range(world.topics)] for sort in range(len(world.sorts))
        ]

    def take(self, count: int) -> list[Task]:
        """The first tasks."""
        return [self._task(number) for number in range(count)]

    def _task(self, number: int) -> Task:
        dice, world = self._dice, self._world
        if number % TASKS_PER_NEW_MEMORY == TASKS_PER_NEW_MEMORY - 1:
            sort = dice.randrange(len(world.sorts))
            dice.choice(self._memories[sort]).append(self._memory(sort))
        topic, sort = dice.randrange(world.topics), dice.randrange(len(world.sorts))
        base_rate = self._base_rates[topic] + world.sorts[sort].ease
        luck, slowness, price = dice.random(), dice.gauss(0, 1), dice.gauss(0, 1)
        return Task(self._id(), topic, base_rate, self._candidates(topic, sort), luck, slowness, price)

    def _candidates(self, topic: int, own: int) -> list[Memory]:
        dice = self._dice
        wanted = [own if dice.random() < self._world.match else 1 - own for _ in range(dice.randint(8, 10))]
        found: list[Memory] = []
        for sort, topics in enumerate(self._memories):
            count, home = wanted.count(sort), topics[topic]
            near = topics[topic - 1] + topics[(topic + 1) % len(topics)]
            of_home = min(len(home), round(OF_OWN_TOPIC * count))
            found += dice.sample(home, of_home) + dice.sample(near, min(len(near), count - of_home))
        dice.shuffle(found)
        return found

    def _memory(self, sort: int) -> Memory:
        """A new one. Effects are dealt from a shuffled deck, so that worlds differ little in what they hold."""
        deck = self._decks[sort]
        if not deck:
            deck += self._world.sorts[sort].effects
            self._dice.shuffle(deck)
        return Memory(self._id(), deck.pop())

    def _id(self) -> UUID:
        return UUID(int=self._dice.getrandbits(128))
