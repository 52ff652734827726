"""The outbox in Postgres: two relays never take the same event, and a crash loses none."""

import threading
from collections import Counter

import pytest

from shared.domain.errors import Rejected, Unavailable
from shared.domain.ids import run_id
from shared.events.event import Event
from shared.postgres.database import Database
from shared.postgres.outbox import PgOutbox
from tests.integration.postgres.conftest import AcceptTask
from tests.patience import PATIENCE


@pytest.fixture
def outbox(database: Database) -> PgOutbox:
    return PgOutbox(database)


def left(database: Database) -> int:
    return len(database.all("SELECT FROM codex_kb.outbox", {}))


def test_relays_at_the_same_moment_share_the_work(accept: AcceptTask, outbox: PgOutbox, database: Database) -> None:
    for number in range(20):
        accept(f"delivery-{number}")
    taken: Counter[str] = Counter()
    both = threading.Barrier(2)

    def publish(event: Event) -> None:
        taken[event.id] += 1
        if taken.total() <= 2:  # Neither goes on before the other has begun.
            both.wait(PATIENCE)

    threads = [threading.Thread(target=outbox.relay, args=(publish, 10, 0)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(taken.values()) == {1}
    assert len(taken) == 20
    assert left(database) == 0


def test_a_relay_that_dies_leaves_its_events_to_the_next(
    accept: AcceptTask, outbox: PgOutbox, database: Database
) -> None:
    for name in ("one", "two"):
        accept(name)

    class Killed(Exception):
        """The process ends here."""

    def die(event: Event) -> None:
        raise Killed

    with pytest.raises(Killed):
        outbox.relay(die, older_than=0)
    sent: list[Event] = []
    assert outbox.relay(sent.append, older_than=0) == 2
    assert left(database) == 0


def test_what_the_broker_had_before_it_went_away_is_not_sent_again(
    accept: AcceptTask, outbox: PgOutbox, database: Database
) -> None:
    for name in ("one", "two", "three"):
        accept(name)
    sent: list[Event] = []

    def once(event: Event) -> None:
        if sent:
            raise Unavailable("away")
        sent.append(event)

    assert outbox.relay(once, older_than=0) == 1
    assert left(database) == 2


def test_an_event_comes_out_as_it_went_in(accept: AcceptTask, outbox: PgOutbox) -> None:
    run = accept("one").run_id
    sent: list[Event] = []
    outbox.relay(sent.append, older_than=0)
    (event,) = sent
    assert (event.subject, event.type, event.datacontenttype) == (
        str(run),
        "ai.proompteng.codex.task.accepted.v1",
        "application/json",
    )


def test_an_event_that_the_broker_refuses_holds_no_other_up(
    accept: AcceptTask, outbox: PgOutbox, database: Database
) -> None:
    for name in ("refused", "fine"):
        accept(name)
    sent: list[Event] = []

    def publish(event: Event) -> None:
        if event.subject == str(run_id("refused")):
            raise Rejected("the broker refused an event with 400")
        sent.append(event)

    assert outbox.relay(publish, older_than=0) == 1
    assert [event.subject for event in sent] == [str(run_id("fine"))]
    assert left(database) == 1
