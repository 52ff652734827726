"""Group commit: company saves time, and costs nobody anything."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from shared.domain.errors import InFlight
from shared.postgres.group_commit import GroupCommit
from tests.patience import PATIENCE

NEVER = 3600.0


class Slow:
    """Work that waits for a gate while `held` says so, and remembers what it was given together."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.gate = threading.Event()
        self.held: Callable[[Sequence[str]], bool] = lambda group: len(self.groups) == 1
        self.wrong = ""

    def __call__(self, items: Sequence[str]) -> list[str]:
        self.groups.append(list(items))
        if self.held(items):
            assert self.gate.wait(PATIENCE)
        if self.wrong and self.wrong in items:
            raise ValueError(self.wrong)
        return [item.upper() for item in items]


@pytest.fixture
def work() -> Slow:
    return Slow()


def commits(work: Slow, overdue: float = NEVER, patience: float = NEVER, most: int = 4) -> GroupCommit[str, str]:
    """Items share the key of their first letter; one in capitals is heavy."""
    return GroupCommit(
        work, lambda item: (item[0],), lambda item: 4 if item.isupper() else 1, most, overdue=overdue, patience=patience
    )


def later(threads: ThreadPoolExecutor, commit: GroupCommit[str, str], items: Sequence[str]) -> list[Future[str]]:
    """Each item from a thread of its own, in this order."""
    futures = []
    for item in items:
        futures.append(threads.submit(commit, item))
        while not (futures[-1].done() or came(commit, item)):
            time.sleep(0.001)
    return futures


def came(commit: GroupCommit[str, str], item: str) -> bool:
    """Whether it waits, or was worked on."""
    assert isinstance(commit._work, Slow)
    waits = any(waiting.item == item for waiting in list(commit._queue))
    return waits or any(item in group for group in commit._work.groups)


def test_who_comes_alone_is_served_at_once_and_alone(work: Slow) -> None:
    work.held = lambda _: False
    commit = commits(work)
    assert [commit("a"), commit("b")] == ["A", "B"]
    assert work.groups == [["a"], ["b"]]


def test_who_comes_meanwhile_is_served_together_and_gets_its_own_result(work: Slow) -> None:
    with ThreadPoolExecutor(8) as threads:
        futures = later(threads, commits(work), ["a", "b", "c", "d"])
        work.gate.set()
        assert [future.result() for future in futures] == ["A", "B", "C", "D"]
    assert work.groups == [["a"], ["b", "c", "d"]]


def test_a_group_is_no_heavier_than_allowed_unless_one_alone_is(work: Slow) -> None:
    with ThreadPoolExecutor(8) as threads:
        futures = later(threads, commits(work, most=3), ["a", "b", "c", "d", "e", "HEAVY"])
        work.gate.set()
        assert [future.result() for future in futures] == ["A", "B", "C", "D", "E", "HEAVY"]
    assert work.groups == [["a"], ["b", "c", "d"], ["e"], ["HEAVY"]]


def test_items_that_share_a_key_are_never_worked_on_at_the_same_time(work: Slow) -> None:
    with ThreadPoolExecutor(8) as threads:
        futures = later(threads, commits(work), ["a1", "b1", "b2", "a2", "c1"])
        work.gate.set()
        assert [future.result() for future in futures] == ["A1", "B1", "B2", "A2", "C1"]
    assert all(len({item[0] for item in group}) == len(group) for group in work.groups)
    assert sorted(item for group in work.groups for item in group) == ["a1", "a2", "b1", "b2", "c1"]


def test_a_mistake_in_a_group_is_met_by_its_own_caller_alone(work: Slow) -> None:
    work.wrong = "c"
    with ThreadPoolExecutor(8) as threads:
        futures = later(threads, commits(work), ["a", "b", "c", "d"])
        work.gate.set()
        assert [futures[at].result() for at in (0, 1, 3)] == ["A", "B", "D"]
        with pytest.raises(ValueError, match="c"):
            futures[2].result()
    assert work.groups[1] == ["b", "c", "d"]
    assert sorted(work.groups[2:]) == [["b"], ["c"], ["d"]]


def test_after_a_mistake_the_next_are_served(work: Slow) -> None:
    work.held, work.wrong = lambda _: False, "a"
    commit = commits(work)
    with pytest.raises(ValueError, match="a"):
        commit("a")
    assert commit("b") == "B"


def test_a_group_that_takes_long_holds_up_nobody_else(work: Slow) -> None:
    with ThreadPoolExecutor(8) as threads:
        commit = commits(work, overdue=1.0)
        (stuck,) = later(threads, commit, ["a"])
        assert [future.result(PATIENCE) for future in later(threads, commit, ["b", "c", "d"])] == ["B", "C", "D"]
        # Whoever waited for the group once more would wait for longer than the test does.
        commit._overdue = NEVER
        assert threads.submit(commit, "e").result(PATIENCE) == "E", (
            "once a group is overdue, nobody waits for it at all"
        )
        assert not stuck.done()
        work.gate.set()
        assert stuck.result(PATIENCE) == "A"


def test_who_waits_for_the_same_key_gives_up_in_time_and_others_do_not(work: Slow) -> None:
    with ThreadPoolExecutor(8) as threads:
        commit = commits(work, overdue=0.05, patience=0.2)
        stuck, *copies = later(threads, commit, ["a1", "a2", "a3"])
        for copy in copies:
            with pytest.raises(InFlight, match="try again"):
                copy.result(PATIENCE)
        assert commit("b") == "B"
        assert not stuck.done(), "nobody has waited for its end"
        work.gate.set()
        assert stuck.result(PATIENCE) == "A1"
        assert commit("a4") == "A4"
    assert work.groups == [["a1"], ["b"], ["a4"]]


def test_whoever_waited_for_the_key_goes_on_as_soon_as_it_is_free(work: Slow) -> None:
    with ThreadPoolExecutor(8) as threads:
        stuck, copy = later(threads, commits(work), ["a1", "a2"])
        work.gate.set()
        # It is woken: by itself it would look again in an hour.
        assert (stuck.result(PATIENCE), copy.result(PATIENCE)) == ("A1", "A2")


def test_under_a_storm_everyone_gets_the_own_result_once(work: Slow) -> None:
    done: list[str] = []
    alone = threading.Lock()
    busy: set[str] = set()

    def careful(items: Sequence[str]) -> list[str]:
        letters = {item[0] for item in items}
        with alone:
            assert len(letters) == len(items) and busy.isdisjoint(letters)
            busy.update(letters)
        time.sleep(0.001)
        with alone:
            busy.difference_update(letters)
            done.extend(items)
        return [item.upper() for item in items]

    commit: GroupCommit[str, str] = GroupCommit(
        careful, lambda item: (item[0],), lambda _: 1, 32, overdue=0.005, patience=NEVER
    )
    items = [f"{letter}{number}" for number in range(60) for letter in "abcdefgh"]
    with ThreadPoolExecutor(32) as threads:
        assert list(threads.map(commit, items)) == [item.upper() for item in items]
    assert sorted(done) == sorted(items)
