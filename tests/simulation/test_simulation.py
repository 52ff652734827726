"""Outcomes teach which memories to show, and the lift is told truly. `python -m tests.simulation` prints the figures.

Seeds are fixed, and each figure is over several worlds: those of 8 worlds together, or counts over 100 and 200 runs.
"""

from functools import cache

import pytest

from tests.simulation.measure import MEASURES, Figures, Watched, compare, watch
from tests.simulation.world import HARMFUL, INERT, MISLEADING, PLAIN, Task, Tasks

SEEDS = range(100, 108)
WATCHED_TASKS = 1500
WORLDS = {"plain": PLAIN, "misleading": MISLEADING}


@cache
def figures(world: str) -> dict[str, Figures]:
    return compare(WORLDS[world], SEEDS)


@cache
def inert() -> list[Watched]:
    return [watch(INERT, seed, WATCHED_TASKS) for seed in range(200)]


@pytest.mark.parametrize("world", WORLDS)
def test_harmful_memories_become_rare_among_what_is_shown(world: str) -> None:
    of = figures(world)
    assert 0.20 <= of["similarity alone"].harmful_share <= 0.24
    assert of["ours"].harmful_share <= 0.10


def test_where_credit_misleads_the_lift_is_1_4_times_that_of_crediting_what_was_shown_jointly() -> None:
    of = figures("misleading")
    assert of["similarity alone"].lift < 0 < of["joint crediting"].lift
    assert of["ours"].lift >= 1.4 * of["joint crediting"].lift


def test_where_nothing_misleads_little_is_paid_for_the_tosses() -> None:
    """There joint crediting is as good as any policy, and needs neither tosses nor a hold-out to be right."""
    of = figures("plain")
    assert of["ours"].lift >= 4 * of["similarity alone"].lift
    assert of["ours"].lift >= 0.8 * of["joint crediting"].lift


@pytest.mark.timeout(400)  # 300,000 tasks, each of them looked at
@pytest.mark.parametrize("measure", MEASURES)
def test_inert_memories_are_hardly_ever_said_to_do_something(measure: str) -> None:
    assert sum(measure in run.excluded for run in inert()) <= 0.05 * len(inert())


@pytest.mark.timeout(400)
def test_inert_memories_are_looked_at_until_there_is_an_interval_and_hardly_ever_switched_off() -> None:
    assert all(run.last["success"] is not None for run in inert())
    assert sum(run.off_after is not None for run in inert()) <= 0.05 * len(inert())


def test_a_scope_in_which_everything_harms_is_soon_off() -> None:
    runs = [watch(HARMFUL, seed, WATCHED_TASKS) for seed in range(100)]
    assert sum(run.off_after is not None for run in runs) >= 0.95 * len(runs)


@pytest.mark.parametrize("world", WORLDS)
def test_a_world_is_the_same_for_the_same_seed(world: str) -> None:
    assert Tasks(WORLDS[world], 1).take(60) == Tasks(WORLDS[world], 1).take(60) != Tasks(WORLDS[world], 2).take(60)


@pytest.mark.parametrize("world", WORLDS)
def test_tasks_have_8_to_10_candidates_each_of_them_once(world: str) -> None:
    tasks = Tasks(WORLDS[world], 3).take(500)
    assert {len(task.candidates) for task in tasks} == {8, 9, 10}
    assert all(len({memory.id for memory in task.candidates}) == len(task.candidates) for task in tasks)


def test_what_is_shown_changes_the_odds_of_success_and_nothing_else() -> None:
    task = next(one for one in Tasks(PLAIN, 4).take(50) if _sum_of_effects(one) > 0)
    assert task.gain([]) == 0 < task.gain(task.candidates)
    assert task.outcome(task.candidates).duration < task.outcome([]).duration


def _sum_of_effects(task: Task) -> float:
    return sum(memory.effect for memory in task.candidates)
