"""What every outbox promises to whoever publishes."""

from shared.domain.errors import Unavailable
from shared.events.event import Event
from tests.contract.stores.conftest import Stores


class Broker:
    """Takes so many events, then is away."""

    def __init__(self, room: int) -> None:
        self.events: list[Event] = []
        self._room = room

    def publish(self, event: Event) -> None:
        if len(self.events) == self._room:
            raise Unavailable("away")
        self.events.append(event)


def test_what_is_young_is_left_to_the_request_that_wrote_it(stores: Stores) -> None:
    stores.accept()
    broker = Broker(9)
    assert stores.outbox.relay(broker.publish, older_than=3600) == 0
    assert stores.outbox.relay(broker.publish, older_than=0) == 1
    assert stores.outbox.relay(broker.publish, older_than=0) == 0


def test_events_are_relayed_oldest_first_and_whole(stores: Stores) -> None:
    tasks = [str(stores.accept(name).run_id) for name in ("one", "two", "three")]
    broker = Broker(9)
    assert stores.outbox.relay(broker.publish, limit=2, older_than=0) == 2
    assert stores.outbox.relay(broker.publish, older_than=0) == 1
    assert [event.subject for event in broker.events] == tasks
    assert broker.events[0].source == "/facteur/codex-intake"
    assert broker.events[0].data == b'{"taskId":"%s"}' % tasks[0].encode()


def test_a_broker_that_goes_away_in_the_middle_gets_the_rest_later(stores: Stores) -> None:
    for name in ("one", "two", "three"):
        stores.accept(name)
    first, second = Broker(2), Broker(9)
    assert stores.outbox.relay(first.publish, older_than=0) == 2
    assert stores.outbox.relay(second.publish, older_than=0) == 1
    assert len({event.id for event in first.events + second.events}) == 3


def test_what_was_published_is_removed(stores: Stores) -> None:
    stores.accept()
    kept: list[Event] = []

    def look(event: Event) -> None:
        kept.append(event)
        raise Unavailable("only looking")

    stores.outbox.relay(look, older_than=0)
    stores.outbox.remove([kept[0].id])
    stores.outbox.remove([kept[0].id])
    assert stores.waiting() == []
