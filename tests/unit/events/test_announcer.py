"""Announcing behind the caller's back: what the broker has leaves the outbox, and nothing else does."""

import threading
import time
from collections.abc import Sequence

import pytest

from shared.domain.errors import FacteurError, Rejected, Unavailable
from shared.events.announcer import BackgroundAnnouncer
from shared.events.event import Event
from tests.patience import PATIENCE


class Broker:
    """Takes events while it is well, and remembers how many came at once."""

    def __init__(self) -> None:
        self.rounds: list[list[str]] = []
        self.errors: dict[str, FacteurError] = {}
        self.breaks = 0
        self.ended = 0
        self.open = threading.Event()
        self.open.set()

    def publish_all(self, events: Sequence[Event]) -> list[FacteurError | None]:
        self.rounds.append([event.id for event in events])
        opened = self.open.wait(PATIENCE)
        self.ended += 1
        assert opened
        if self.breaks:
            self.breaks -= 1
            raise OSError("the wire broke")
        return [self.errors.get(event.id) for event in events]


class Rows:
    """An outbox that may be away."""

    def __init__(self) -> None:
        self.removed: list[str] = []
        self.away = 0

    def remove(self, ids: Sequence[str]) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("the database is away: try again")
        self.removed += ids


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def rows() -> Rows:
    return Rows()


def events(*names: str) -> list[Event]:
    return [Event(name, "/tests", "some.type") for name in names]


def announcers() -> int:
    """How many threads announce; others may come and go."""
    return sum(thread.name == "announcer" for thread in threading.enumerate())


def under_way(broker: Broker) -> None:
    """Returns once the first round has begun."""
    while not broker.rounds:
        time.sleep(0.001)


def test_what_the_broker_took_leaves_the_outbox(broker: Broker, rows: Rows) -> None:
    say = BackgroundAnnouncer(broker, rows)
    say(*events("a", "b"))
    say.drain(PATIENCE)
    assert rows.removed == ["a", "b"]


def test_no_thread_is_started_before_there_is_something_to_say(broker: Broker, rows: Rows) -> None:
    before = announcers()
    say = BackgroundAnnouncer(broker, rows)
    assert announcers() == before
    for event in events(*"abc"):
        say(event)
    assert announcers() == before + 1


def test_what_the_broker_did_not_take_stays_and_holds_no_other_up(broker: Broker, rows: Rows) -> None:
    broker.errors = {"b": Unavailable("away"), "c": Rejected("never")}
    say = BackgroundAnnouncer(broker, rows)
    say(*events("a", "b", "c", "d"))
    say.drain(PATIENCE)
    assert rows.removed == ["a", "d"]


def test_nobody_waits_for_a_slow_broker_and_what_comes_meanwhile_goes_together(broker: Broker, rows: Rows) -> None:
    broker.open.clear()
    say = BackgroundAnnouncer(broker, rows, at_once=3)
    first, *later = events(*"abcdef")
    say(first)
    under_way(broker)
    for event in later:
        say(event)
    assert (broker.rounds, broker.ended) == ([["a"]], 0), "all was said before the broker had taken anything"
    assert rows.removed == []
    broker.open.set()
    say.drain(PATIENCE)
    assert rows.removed == list("abcdef")
    assert broker.rounds == [["a"], ["b", "c", "d"], ["e", "f"]]


def test_more_than_the_queue_holds_is_left_to_the_outbox(broker: Broker, rows: Rows) -> None:
    broker.open.clear()
    say = BackgroundAnnouncer(broker, rows, capacity=2)
    say(*events("first"))
    under_way(broker)
    for event in events("a", "b", "c", "d"):
        say(event)
    broker.open.set()
    say.drain(PATIENCE)
    assert rows.removed == ["first", "a", "b"]


def test_whatever_goes_wrong_the_next_are_announced(broker: Broker, rows: Rows) -> None:
    broker.breaks, rows.away = 1, 1
    say = BackgroundAnnouncer(broker, rows)
    for name in ("the wire breaks", "the database is away", "all is well"):
        say(*events(name))
        say.drain(PATIENCE)
    assert rows.removed == ["all is well"]
    assert len(broker.rounds) == 3


def test_waiting_for_the_rest_ends_in_time(broker: Broker, rows: Rows) -> None:
    broker.open.clear()
    say = BackgroundAnnouncer(broker, rows)
    say(*events("a"))
    under_way(broker)
    began = time.monotonic()
    say.drain(0.1)
    assert time.monotonic() - began > 0.05
    assert broker.ended == 0, "nobody has waited for the broker"
    assert rows.removed == []
    broker.open.set()
    say.drain(PATIENCE)
    assert rows.removed == ["a"]
