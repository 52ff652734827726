"""What the broker takes, what it refuses, and how it says so."""

import json

import pytest

from tests.integration.broker.actors import TYPE, Valkey, broker, event, eventually, trigger
from tests.integration.broker.conftest import Start, Subscribe

STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


def member(event_id: str) -> dict[str, str]:
    return {"specversion": "1.0", "id": event_id, "source": "/test", "type": TYPE}


def test_events_are_taken_in_binary_structured_and_batch_mode_at_any_path(start: Start, subscribe: Subscribe) -> None:
    embedder = subscribe()
    process = start(broker(), trigger("embedder"), embedder=embedder)
    sent = [process.request("POST", "/default/broker", event(event_id="a"))]
    sent.append(process.request("POST", "/", STRUCTURED, json.dumps(member("b")).encode()))
    sent.append(process.request("POST", "/", BATCH, json.dumps([member("c"), member("d")]).encode()))
    assert [(status, body) for status, _, body in sent] == [(202, b"")] * 3
    eventually(lambda: sorted(embedder.ids()) == ["a", "b", "c", "d"])


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b""),
        ({"ce-id": "1", "ce-source": "/s", "ce-type": "t"}, b""),
        ({**event(), "ce-specversion": "0.3"}, b""),
        (STRUCTURED, b"{"),
        (STRUCTURED, b"[]"),
        (BATCH, json.dumps([member("good"), {"id": "hunter2"}]).encode()),
        ({"content-type": "application/cloudevents+xml"}, b"<event/>"),
        (event(knativebrokerttl="1"), b""),
    ],
)
def test_what_is_no_event_is_refused_once_and_whole(
    start: Start, subscribe: Subscribe, headers: dict[str, str], body: bytes
) -> None:
    embedder = subscribe()
    process = start(broker(), trigger("embedder"), embedder=embedder)
    status, answered, problem = process.request("POST", "/", headers, body)
    assert (status, answered["content-type"].split(";")[0]) == (400, "application/problem+json")
    assert json.loads(problem)["status"] == 400
    assert b"hunter2" not in problem
    last = process.publish(event())
    embedder.got(1)
    assert embedder.ids() == [last]


def test_a_body_of_more_than_a_mebibyte_is_refused(start: Start, subscribe: Subscribe) -> None:
    embedder = subscribe()
    process = start(broker(), trigger("embedder"), embedder=embedder)
    most = process.publish({**event(), "content-type": "application/octet-stream"}, b"x" * (1 << 20))
    status, answered, _ = process.request("POST", "/", event(), b"x" * ((1 << 20) + 1))
    assert (status, answered["content-type"].split(";")[0]) == (413, "application/problem+json")
    (delivery,) = embedder.got(1)
    assert (delivery.id, len(delivery.body)) == (most, 1 << 20)


def test_headers_of_more_than_32_kib_are_refused(start: Start) -> None:
    process = start(broker())
    many = {f"x-{number}": "v" * 4000 for number in range(10)}
    status, answered, _ = process.request("POST", "/", event() | many)
    assert (status, answered["content-type"].split(";")[0]) == (431, "application/problem+json")


def test_while_redis_is_away_events_are_refused_with_503_and_taken_again_later(
    start: Start, subscribe: Subscribe, own_valkey: Valkey
) -> None:
    embedder = subscribe()
    process = start(broker(), trigger("embedder"), redis=own_valkey, embedder=embedder)
    process.publish(event(event_id="before"))
    embedder.got(1)
    own_valkey.kill()
    status, answered, _ = process.request("POST", "/", event())
    assert (status, answered["retry-after"]) == (503, "1")
    assert process.request("GET", "/readyz")[0] == 503
    assert process.request("GET", "/healthz")[0] == 200
    own_valkey.start()
    assert process.request("GET", "/readyz")[0] == 200
    process.publish(event(event_id="after"))
    eventually(lambda: embedder.ids() == ["before", "after"])


def test_a_broker_that_starts_before_redis_becomes_ready_with_it(
    start: Start, subscribe: Subscribe, own_valkey: Valkey
) -> None:
    own_valkey.kill()
    embedder = subscribe()
    process = start(broker(), trigger("embedder"), redis=own_valkey, embedder=embedder)
    assert process.request("GET", "/readyz")[0] == 503
    own_valkey.start()
    eventually(lambda: process.request("GET", "/readyz")[0] == 200)
    process.publish(event())
    embedder.got(1)
