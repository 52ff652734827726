"""What a task is offered is decided once, by the task alone."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.effect import Evidence, Tally, Toss, base_rate, is_held_out
from shared.domain.offer import Arm, Standing, offer

MEMORIES = [UUID(int=1000 + number) for number in range(8)]
SHARE = 0.3

tasks = st.integers(0, 2**128 - 1).map(lambda number: UUID(int=number))
places = st.integers(0, 8)
evidence = st.dictionaries(
    st.sampled_from(MEMORIES), st.builds(Evidence, st.floats(0, 1e4), st.floats(-1e4, 1e4)), max_size=8
)


@given(tasks, places)
def test_the_arm_follows_from_the_task(task: UUID, places: int) -> None:
    given_out = offer(task, MEMORIES, places, SHARE, Standing())
    assert given_out.held_out == is_held_out(task, SHARE) == (given_out.arm is Arm.HELD_OUT)
    assert not (given_out.held_out and given_out.tosses)


@given(tasks, places, evidence)
def test_the_same_memories_are_answered_alike_whatever_was_learned_since(
    task: UUID, places: int, known: dict[UUID, Evidence]
) -> None:
    first = offer(task, MEMORIES, places, SHARE, Standing())
    tosses = {toss.memory: toss for toss in first.tosses}
    later = Standing(arm=first.arm, share=SHARE, evidence=known, tosses=tosses, topic=Tally(9, 1.0))
    again = offer(task, MEMORIES, places, SHARE, later)
    assert again.shown == first.shown
    assert set(again.tosses) <= set(first.tosses)


@given(tasks, places, st.floats(0, 0.5))
def test_a_share_that_is_set_anew_does_not_move_a_task(task: UUID, places: int, share: float) -> None:
    first = offer(task, MEMORIES, places, SHARE, Standing())
    again = offer(task, MEMORIES, places, share, Standing(arm=first.arm, share=SHARE))
    assert again == first


def test_a_memory_that_comes_later_is_tossed_for_if_there_is_a_place() -> None:
    task = next(UUID(int=number) for number in range(99) if not is_held_out(UUID(int=number), SHARE))
    known = Standing(arm=Arm.TREATED, share=SHARE, tosses={MEMORIES[0]: Toss(MEMORIES[0], 0.5, True)})
    assert {toss.memory for toss in offer(task, MEMORIES[:2], 1, SHARE, known).tosses} == {MEMORIES[0]}
    assert {toss.memory for toss in offer(task, MEMORIES[:2], 2, SHARE, known).tosses} == set(MEMORIES[:2])


@given(tasks)
def test_a_scope_that_is_off_shows_nothing_also_to_a_task_that_was_shown_something(task: UUID) -> None:
    for before in (None, *Arm):
        given_out = offer(task, MEMORIES, 5, SHARE, Standing(off=True, arm=before, share=before and SHARE))
        assert (given_out.off, given_out.tosses, given_out.arm) == (True, (), before or Arm.OFF)


def test_a_task_that_began_while_its_scope_was_off_is_shown_nothing_when_it_is_on_again() -> None:
    given_out = offer(UUID(int=1), MEMORIES, 5, SHARE, Standing(arm=Arm.OFF, share=SHARE))
    assert given_out.off and not given_out.tosses


@given(tasks)
def test_without_a_trial_the_most_similar_are_shown(task: UUID) -> None:
    given_out = offer(task, MEMORIES, 5, 0, Standing())
    assert (given_out.arm, given_out.shown) == (Arm.ALL, set(MEMORIES[:5]))
    assert all(toss.propensity == 1 for toss in given_out.tosses)


def test_the_base_is_what_is_expected_of_topic_and_scope() -> None:
    known = Standing(topic=Tally(4, 1.0), scope=Tally(20, 12.0))
    assert offer(UUID(int=1), [], 5, SHARE, known).base == base_rate(Tally(4, 1.0), Tally(20, 12.0))
