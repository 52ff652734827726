"""The table of answers: how often a delivery is tried, with which pauses, and what becomes a dead letter."""

import base64
import json
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from tests.contract.broker.brokers import Answer, Broker, Wanted
from tests.integration.broker.actors import Delivery, Reply, Subscriber, eventually, refuses
from tests.patience import PATIENCE

TYPE = "ai.proompteng.test.asked.v1"
REPLIED = "ai.proompteng.test.replied.v1"
PAUSES = (0.2, 0.4)
# A busy machine may have a subscriber answer late, which would be one more attempt: only a row without an answer waits
# for the end of its time, and within that the sink of dead letters has to answer, too.
TIMEOUT = 5.0
DELIVERY: Mapping[str, Any] = {
    "retry": len(PAUSES),
    "backoffPolicy": "exponential",
    "backoffDelay": "PT0.2S",
    "timeout": "PT60S",
}
TRIED_AGAIN = 1 + len(PAUSES)
# Of a machine's clock and timers, in seconds.
SLACK = 0.01


@dataclass(frozen=True)
class Row:
    """An answer that a subscriber always gives, and what a broker does about it.

    `code` is what the dead letter says, None if there is none. Not every broker says it if `sure` is false: Knative's
    in-memory broker tells nothing of an answer that it made itself.
    """

    name: str
    attempts: int
    code: str | None
    reply: Reply = field(default_factory=Reply)
    sure: bool = True
    hangs: bool = False


def refused(status: int, attempts: int, **headers: str) -> Row:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Row(str(status), attempts, str(status), Reply(status, b'{"title":"no"}', names))


ROWS = [
    Row("200 empty", 1, None, Reply(200)),
    Row("202 empty", 1, None, Reply(202)),
    Row("204", 1, None, Reply(204)),
    Row("200 with a body that is no event", TRIED_AGAIN, "502", Reply(200, b"OK"), sure=False),
    Row(
        "200 with a broken event",
        TRIED_AGAIN,
        "502",
        Reply(200, b"{}", {"Content-Type": "application/cloudevents+json"}),
        sure=False,
    ),
    refused(302, 1),
    refused(400, 1),
    refused(404, TRIED_AGAIN),
    refused(408, TRIED_AGAIN),
    refused(409, TRIED_AGAIN),
    refused(422, 1),
    # Nobody waits for an hour: a delivery would have to allow it, and Knative lets it only where it is told to.
    refused(429, TRIED_AGAIN, Retry_After="3600"),
    refused(500, TRIED_AGAIN),
    refused(503, TRIED_AGAIN, Retry_After="3600"),
    Row("no answer in time", TRIED_AGAIN, "500", sure=False, hangs=True),
]


def an_event(event_type: str = TYPE) -> dict[str, str]:
    """The headers of a new event."""
    attributes = {"id": str(uuid.uuid4()), "source": "/test", "type": event_type, "specversion": "1.0"}
    return {"content-type": "application/json", **{f"ce-{name}": value for name, value in attributes.items()}}


def publish(broker: Broker, event_type: str = TYPE) -> str:
    """The id of a new event that the broker has taken."""
    headers = an_event(event_type)
    assert broker.post(headers, b'{"n": 1}') == 202
    return headers["ce-id"]


def started(broker: Broker, answer: Answer, **changes: str) -> tuple[Subscriber, Subscriber]:
    """A subscriber that answers so, and the sink of its dead letters."""
    subscriber, letters = broker.subscriber(answer), broker.subscriber()
    broker.start(Wanted(TYPE, subscriber, letters, {**DELIVERY, **changes}))
    return subscriber, letters


def of(event: str, deliveries: list[Delivery]) -> list[Delivery]:
    return [delivery for delivery in deliveries if delivery.id == event]


def first_answered(row: Row) -> Answer:
    """The row's answer to the first event, and to every other one that may be retried."""
    first: list[str] = []

    def answer(delivery: Delivery, _number: int) -> Reply:
        first.append(delivery.id)
        if delivery.id != first[0]:
            return Reply(503)
        return Reply(hold=threading.Event()) if row.hangs else row.reply

    return answer


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_answer_decides_how_often_is_tried_and_what_is_buried(broker: Broker, row: Row) -> None:
    limit = {"timeout": f"PT{TIMEOUT:.0f}S"} if row.hangs else {}
    subscriber, letters = started(broker, first_answered(row), **limit)
    published = time.monotonic()
    event = publish(broker)
    eventually(lambda: len(of(event, subscriber.deliveries)) >= row.attempts, PATIENCE)
    # When a later event that is retried for as long has become a letter, nothing more will come of this one.
    later = publish(broker)
    letters.got(2 if row.code else 1, PATIENCE)
    eventually(lambda: of(later, letters.deliveries), PATIENCE)
    attempts = of(event, subscriber.deliveries)
    assert len(attempts) == row.attempts
    assert all(attempt.body == b'{"n": 1}' for attempt in attempts)
    if row.hangs:
        _assert_waited(attempts, published)
    else:
        _assert_pauses(attempts)
    buried = of(event, letters.deliveries)
    assert len(buried) == (1 if row.code else 0)
    for letter in buried:
        _assert_told(letter, row, subscriber)


def _assert_pauses(attempts: list[Delivery]) -> None:
    for (earlier, later), pause in zip(pairwise(attempts), PAUSES, strict=False):
        assert later.at - earlier.at >= pause - SLACK


def _assert_waited(attempts: list[Delivery], published: float) -> None:
    """The time for an answer begins when an event is sent, and a busy machine has it arrive later: only from the
    publication on is the time of every attempt certain."""
    arrived = sorted(attempt.at for attempt in attempts)
    for number, at in enumerate(arrived):
        assert at - published >= number * TIMEOUT + sum(PAUSES[:number]) - SLACK


def _assert_told(letter: Delivery, row: Row, subscriber: Subscriber) -> None:
    assert (letter.headers["ce-type"], letter.headers["ce-source"]) == (TYPE, "/test")
    assert letter.body == b'{"n": 1}'
    told = {name: letter.headers.get(f"ce-knativeerror{name}") for name in ("dest", "code", "data")}
    if not row.sure and set(told.values()) == {None}:
        return
    assert (told["dest"], told["code"]) == (f"{subscriber.url}/", row.code)
    if row.sure:
        assert base64.b64decode(told["data"] or "") == row.reply.body


def test_attempts_end_with_the_first_success(broker: Broker) -> None:
    subscriber, letters = started(broker, refuses(503, 404, 202, 503))
    event = publish(broker)
    eventually(lambda: len(subscriber.deliveries) >= TRIED_AGAIN, PATIENCE)
    later = publish(broker)
    eventually(lambda: of(later, letters.deliveries), PATIENCE)
    assert len(of(event, subscriber.deliveries)) == TRIED_AGAIN
    assert of(event, letters.deliveries) == []


def test_a_redirect_that_keeps_the_method_brings_the_event_elsewhere(broker: Broker) -> None:
    elsewhere = broker.subscriber()
    started(broker, refuses(307, headers={"Location": f"{elsewhere.url}/there"}))
    event = publish(broker)
    (delivery,) = elsewhere.got(1, PATIENCE)
    assert (delivery.id, delivery.path, delivery.body) == (event, "/there", b'{"n": 1}')


def test_an_event_in_the_answer_goes_through_the_broker(broker: Broker) -> None:
    def answer(delivery: Delivery, _number: int) -> Reply:
        reply = {"specversion": "1.0", "id": f"r-{delivery.id}", "source": "/s", "type": REPLIED, "data": {"n": 2}}
        return Reply(200, json.dumps(reply).encode(), {"Content-Type": "application/cloudevents+json"})

    asked, told, letters = broker.subscriber(answer), broker.subscriber(), broker.subscriber()
    broker.start(Wanted(TYPE, asked, letters, DELIVERY), Wanted(REPLIED, told, letters, DELIVERY))
    event = publish(broker)
    (reply,) = told.got(1, PATIENCE)
    assert (reply.id, json.loads(reply.body)) == (f"r-{event}", {"n": 2})
    assert len(asked.deliveries) == 1


def test_a_letter_is_tried_as_often_as_the_event_was(broker: Broker) -> None:
    subscriber, letters = broker.subscriber(refuses(400)), broker.subscriber(refuses(503, 503, 204))
    broker.start(Wanted(TYPE, subscriber, letters, DELIVERY))
    event = publish(broker)
    tries = letters.got(TRIED_AGAIN, PATIENCE)
    assert [letter.id for letter in tries] == [event] * TRIED_AGAIN
    _assert_pauses(tries)


def test_what_is_no_event_is_refused(broker: Broker) -> None:
    subscriber, letters = started(broker, refuses(204))
    headers = an_event()
    del headers["ce-id"]
    assert broker.post(headers, b'{"n": 1}') == 400
    event = publish(broker)
    assert [delivery.id for delivery in subscriber.got(1, PATIENCE)] == [event]
    assert letters.deliveries == []
