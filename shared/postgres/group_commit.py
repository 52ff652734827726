"""Group commit: callers that come while others are being committed are committed together."""

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from shared.domain.errors import InFlight

Item = TypeVar("Item")
Result = TypeVar("Result")
# How long several that wait let others join them. A lone one never waits.
_GATHER_SECONDS = 0.001


class _Waiting(Generic[Item, Result]):
    """One caller's item, and the gate at which its thread waits."""

    def __init__(self, item: Item, keys: frozenset[Hashable]) -> None:
        self.item = item
        self.keys = keys
        self.results: Sequence[Result] = ()
        self.leads = False
        self.came = time.monotonic()
        self._gate = threading.Lock()
        self._gate.acquire()

    def wait(self, seconds: float) -> bool:
        """Whether it was woken."""
        return self._gate.acquire(timeout=seconds)

    def wake(self) -> None:
        self._gate.release()


class GroupCommit(Generic[Item, Result]):
    """Runs `work` on the items of several threads at once.

    A caller who finds no group under way leads one at once, so a lone request waits for nobody. Whoever
    comes meanwhile waits, and the first of them leads the next group. A group that takes longer than
    `overdue` seconds holds up nobody else: the next one begins beside it. No two items that share a key
    are worked on at the same time, because their rows would wait for each other. A group of several weighs
    at most `most`. If `work` fails for it, each caller runs it again for its own item alone, so one
    item's mistake is nobody else's.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        keys: Callable[[Item], Sequence[Hashable]],
        weight: Callable[[Item], int],
        most: int,
        overdue: float = 0.2,
        patience: float = 2.0,
    ) -> None:
        self._work = work
        self._keys = keys
        self._weight = weight
        self._most = most
        self._overdue = overdue
        self._patience = patience
        self._lock = threading.Lock()
        self._queue: list[_Waiting[Item, Result]] = []
        self._under_way: set[Hashable] = set()
        self._leader: _Waiting[Item, Result] | None = None
        self._led_since = 0.0

    def __call__(self, item: Item) -> Result:
        """What `work` returns for `item`; raises what it raises for it.

        InFlight if an item that shares a key is still worked on after `patience` seconds.
        """
        own: _Waiting[Item, Result] = _Waiting(item, frozenset(self._keys(item)))
        with self._lock:
            self._queue.append(own)
            self._appoint()
        self._await_turn(own)
        try:
            if own.leads:
                self._lead(own)
            (result,) = own.results or self._work([item])
            return result
        finally:
            self._release(own)

    def _await_turn(self, own: _Waiting[Item, Result]) -> None:
        while not own.wait(self._overdue):
            with self._lock:
                if own not in self._queue:
                    continue  # it is worked on
                if time.monotonic() - own.came > self._patience:
                    self._queue.remove(own)
                    raise InFlight("another request is working on the same: try again")
                self._appoint()

    def _lead(self, own: _Waiting[Item, Result]) -> None:
        if self._queue:
            time.sleep(_GATHER_SECONDS)
        with self._lock:
            group = [own, *self._take(self._most - self._weight(own.item))]
        try:
            self._commit(group)
        finally:
            with self._lock:
                if self._leader is own:
                    self._leader = None
                self._appoint()
            for member in group[1:]:
                member.wake()

    def _commit(self, group: Sequence[_Waiting[Item, Result]]) -> None:
        if len(group) == 1:
            group[0].results = self._work([group[0].item])
            return
        try:
            results = self._work([member.item for member in group])
        except Exception:  # noqa: BLE001  # whatever it is: each member meets its own mistake, or none
            return
        for member, result in zip(group, results, strict=True):
            member.results = [result]

    def _appoint(self) -> None:
        """If no group is under way that is not overdue, the next is led by the one who has waited longest."""
        if self._leader is None or time.monotonic() - self._led_since > self._overdue:
            leader = next((member for member in self._queue if self._under_way.isdisjoint(member.keys)), None)
            if leader:
                self._leader, self._led_since = leader, time.monotonic()
                self._start(leader)
                leader.leads = True
                leader.wake()

    def _take(self, most: int) -> list[_Waiting[Item, Result]]:
        """The longest waiting items that fit and share no key with what is under way; the others stay."""
        taken: list[_Waiting[Item, Result]] = []
        for member in list(self._queue):
            weight = self._weight(member.item)
            if weight <= most and self._under_way.isdisjoint(member.keys):
                most -= weight
                self._start(member)
                taken.append(member)
        return taken

    def _start(self, member: _Waiting[Item, Result]) -> None:
        self._queue.remove(member)
        self._under_way |= member.keys

    def _release(self, own: _Waiting[Item, Result]) -> None:
        with self._lock:
            self._under_way -= own.keys
            self._appoint()
