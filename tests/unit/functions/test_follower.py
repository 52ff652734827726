"""The thread that follows cards: there is one while there is something to follow, and none otherwise."""

import queue
import threading
from collections.abc import Callable

import pytest

from functions.discord_interaction.follower import AWAY_SECONDS, SECONDS, Follower
from shared.domain.errors import Unavailable
from tests.patience import PATIENCE


class Rounds:
    """Rounds that a test steps through. Each waits for what becomes of it: a bool, or an error."""

    def __init__(self) -> None:
        self.asked: queue.Queue[float] = queue.Queue()
        self.results: queue.Queue[bool | Exception] = queue.Queue()
        self.begun = threading.Semaphore(0)
        self.count = 0
        self.stop = False

    def round(self) -> bool:
        self.count += 1
        self.begun.release()
        result = self.results.get(timeout=PATIENCE)
        if isinstance(result, Exception):
            raise result
        return result

    def wait(self, seconds: float) -> bool:
        self.asked.put(seconds)
        return self.stop

    def follow(self, *results: bool | Exception) -> list[float]:
        """The pauses after these rounds."""
        for result in results:
            self.results.put(result)
        return [self.asked.get(timeout=PATIENCE) for _ in results]


def followers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "follower"]


def ended() -> None:
    for thread in followers():
        thread.join(PATIENCE)
    assert followers() == []


@pytest.fixture
def rounds() -> Rounds:
    return Rounds()


@pytest.fixture
def follower(rounds: Rounds) -> Follower:
    return Follower(rounds.round, rounds.wait)


def test_it_looks_every_two_seconds_while_a_card_is_open_and_then_ends(follower: Follower, rounds: Rounds) -> None:
    follower.start()
    assert rounds.follow(True, True, False) == [SECONDS] * 3
    ended()
    assert rounds.count == 3


def test_it_begins_again_when_it_is_told_to(follower: Follower, rounds: Rounds) -> None:
    for count in (1, 2):
        follower.start()
        rounds.follow(False)
        ended()
        assert rounds.count == count


def test_whoever_starts_it_during_its_last_round_gets_another_in_the_same_thread(
    follower: Follower, rounds: Rounds
) -> None:
    follower.start()
    assert rounds.begun.acquire(timeout=PATIENCE)
    for _ in range(20):
        follower.start()
    assert len(followers()) == 1
    assert rounds.follow(False, False) == [SECONDS] * 2
    ended()
    assert rounds.count == 2


@pytest.mark.parametrize(
    "error", [lambda: Unavailable("the database is away"), lambda: RuntimeError("a mistake")], ids=["away", "mistake"]
)
def test_it_outlives_what_goes_wrong(follower: Follower, rounds: Rounds, error: Callable[[], Exception]) -> None:
    follower.start()
    assert rounds.follow(error(), error(), False) == [AWAY_SECONDS, AWAY_SECONDS, SECONDS]
    ended()


def test_a_thread_that_could_not_be_made_is_made_when_it_is_wanted_again(
    follower: Follower, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more_threads(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_more_threads)
        with pytest.raises(RuntimeError):
            follower.start()
    follower.start()
    assert rounds.follow(False) == [SECONDS]
    ended()


def test_it_ends_when_the_process_is_told_to_stop(follower: Follower, rounds: Rounds) -> None:
    rounds.stop = True
    follower.start()
    rounds.follow(True)
    ended()
    follower.start()
    assert followers() == []
    assert rounds.count == 1
