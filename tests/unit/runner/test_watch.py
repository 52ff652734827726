"""What ends an agent is noticed, and an agent that is to end does."""

import signal
import time
from typing import cast

import pytest

from shared.runner.errors import Fenced
from shared.runner.wrapping.agent_process import Agent
from shared.runner.wrapping.watch import Ended, Late, Over, Signaled, Watch


class Child:
    """Ends at the signals in `obeys`."""

    def __init__(self, watch: Watch, obeys: set[int]) -> None:
        self.got: list[int] = []
        self._watch = watch
        self._obeys = obeys

    def signal(self, number: int) -> None:
        self.got.append(number)
        if number in self._obeys:
            self._watch.tell(Ended(-number))


def stopped(watch: Watch, obeys: set[int], why: Signaled | Over | Late) -> tuple[int, list[int]]:
    child = Child(watch, obeys)
    code = watch.stop(cast(Agent, child), why)
    return code, child.got


BOTH: set[int] = {signal.SIGTERM, signal.SIGKILL}
KILL: set[int] = {signal.SIGKILL}


@pytest.mark.parametrize("why", [Signaled(signal.SIGTERM), Late()])
def test_an_agent_is_told_to_end_before_it_is_killed(why: Signaled | Late) -> None:
    assert stopped(Watch(None, 60), BOTH, why) == (-15, [signal.SIGTERM])
    assert stopped(Watch(None, 0.01), KILL, why) == (-9, [signal.SIGTERM, signal.SIGKILL])


def test_the_signal_that_came_is_the_one_that_is_passed_on() -> None:
    assert stopped(Watch(None, 60), {int(signal.SIGINT)}, Signaled(signal.SIGINT)) == (-2, [signal.SIGINT])


@pytest.mark.parametrize("second", [Signaled(signal.SIGTERM), Over(Fenced("over"))])
def test_what_happens_next_kills_at_once(second: Signaled | Over) -> None:
    watch = Watch(None, 60)
    watch.tell(second)
    began = time.monotonic()
    assert stopped(watch, KILL, Signaled(signal.SIGTERM)) == (-9, [signal.SIGTERM, signal.SIGKILL])
    assert time.monotonic() - began < 30


def test_void_work_is_killed_at_once() -> None:
    assert stopped(Watch(None, 60), KILL, Over(Fenced("over"))) == (-9, [signal.SIGKILL])


def test_the_first_thing_that_happens_is_told() -> None:
    watch = Watch(time.monotonic() + 60)
    watch.tell(Ended(3))
    watch.tell(Signaled(15))
    assert watch.wait(lambda: None) == Ended(3)


def test_the_deadline_is_noticed_and_something_is_done_meanwhile() -> None:
    calls: list[int] = []
    assert Watch(time.monotonic() - 1).wait(lambda: None) == Late()
    watch = Watch(time.monotonic() + 60)

    def meanwhile() -> None:
        calls.append(1)
        watch._stop_at = time.monotonic()

    assert watch.wait(meanwhile) == Late()
    assert calls == [1]
