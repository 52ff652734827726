"""Back-pressure: who comes when too many are inside is told to come again."""

from contextlib import ExitStack
from uuid import UUID, uuid4

import pytest

from functions.callback.pressure import Pressure
from shared.domain.errors import InFlight, Throttled

TASK = UUID(int=1)


def test_only_so_many_are_inside_at_once() -> None:
    pressure = Pressure(at_once=3)
    with ExitStack() as inside:
        for _ in range(3):
            inside.enter_context(pressure.admitted(uuid4()))
        with pytest.raises(Throttled) as told, pressure.admitted(uuid4()):
            pass
        assert told.value.retry_after == 1
    with pressure.admitted(uuid4()):
        pass


def test_one_task_does_not_take_the_place_of_the_others() -> None:
    pressure = Pressure(at_once=10, of_one_task=2)
    with pressure.admitted(TASK), pressure.admitted(TASK):
        with pytest.raises(Throttled), pressure.admitted(TASK):
            pass
        with pressure.admitted(uuid4()):
            pass


def test_whoever_fails_leaves() -> None:
    pressure = Pressure(at_once=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), pressure.admitted(TASK):
            raise ValueError("broken")


def test_who_was_held_up_by_another_is_told_to_come_again() -> None:
    with pytest.raises(Throttled), Pressure().admitted(TASK):
        raise InFlight("another request is working on the same")
