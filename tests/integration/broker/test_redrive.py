"""From an event that nobody takes to one that is handled: broker, intake and command are the real ones."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.broker.publisher import HttpPublisher
from shared.domain.dead_letter import Choice
from shared.events.event import Event
from shared.postgres.database import Database
from shared.postgres.dead_letters import PgDeadLetters
from shared.postgres.outbox import PgOutbox
from tests.component.functions import Function, running, settings
from tests.integration.broker.actors import (
    TYPE,
    BrokerProcess,
    Delivery,
    Reply,
    Subscriber,
    broker,
    event,
    eventually,
    reference,
    trigger,
)
from tests.integration.broker.conftest import Start, Subscribe


class Worker:
    """A subscriber that refuses every event until its cause is fixed."""

    def __init__(self) -> None:
        self.fixed = threading.Event()

    def __call__(self, _delivery: Delivery, _number: int) -> Reply:
        return Reply(204) if self.fixed.is_set() else Reply(422, b'{"detail":"the cause is not fixed yet"}')


@pytest.fixture
def intake(dsn: str, tmp_path: Path) -> Iterator[Function]:
    with running("codex-intake", settings(dsn, "http://127.0.0.1:1", tmp_path), tmp_path / "intake.log") as function:
        yield function


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def handler(subscribe: Subscribe, worker: Worker) -> Subscriber:
    return subscribe(worker)


@pytest.fixture
def system(start: Start, intake: Function, handler: Subscriber) -> BrokerProcess:
    delivery = {"deadLetterSink": reference("codex-intake", "/dead-letters")}
    return start(broker(delivery), trigger("handler"), **{"handler": handler, "codex-intake": intake})


def dlq(dsn: str, *arguments: str) -> str:
    facteur = Path(sys.executable).with_name("facteur")
    env = {name: value for name, value in os.environ.items() if name != "K_SINK"} | {"FACTEUR_POSTGRES_DSN": dsn}
    done = subprocess.run(
        [facteur, "dlq", *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def listed(dsn: str) -> Any:
    return json.loads(dlq(dsn, "ls", "--json"))


def waiting(dsn: str, attempts: int) -> Any:
    """The one letter as soon as it waits after so many attempts."""

    def look() -> Any:
        return [one for one in listed(dsn) if (one["state"], one["attempts"]) == ("waiting", attempts)]

    (letter,) = eventually(look)
    return letter


def test_an_event_whose_cause_was_fixed_is_redriven_and_handled_once(
    system: BrokerProcess, handler: Subscriber, worker: Worker, dsn: str
) -> None:
    sent = event(tenant="a")
    system.publish({**sent, "content-type": "application/octet-stream"}, b"\x00data")
    letter = waiting(dsn, 1)
    assert letter["status"] == "422" and letter["cause"] == "the cause is not fixed yet"
    dlq(dsn, "redrive", letter["id"], "--sink", f"http://{system.address}/")
    assert waiting(dsn, 2)["redrives"] == 1, "it came back, and waits again"
    worker.fixed.set()
    said = dlq(dsn, "redrive", letter["id"], "--sink", f"http://{system.address}/")
    assert said == "redriven 1 dead letter, 1 of them published at once\n"
    handled = handler.got(3)[-1]
    assert {name: handled.headers[name] for name in sent} == sent
    assert not [name for name in handled.headers if name.startswith("ce-knativeerror")]
    assert handled.body == b"\x00data"
    (after,) = listed(dsn)
    assert (after["state"], after["attempts"], after["redrives"]) == ("redriven", 2, 2)
    assert len(handler.deliveries) == 3


def test_without_a_sink_the_relay_of_the_outbox_sends_it(
    system: BrokerProcess, handler: Subscriber, worker: Worker, dsn: str, database: Database
) -> None:
    sent = system.publish(event())
    letter = waiting(dsn, 1)
    worker.fixed.set()
    dlq(dsn, "redrive", letter["id"])
    assert handler.ids() == [sent]
    publisher = HttpPublisher(f"http://{system.address}/")
    assert [PgOutbox(database).relay(publisher.publish, older_than=0) for _ in range(2)] == [1, 0]
    assert [delivery.id for delivery in handler.got(2)] == [sent, sent]


@pytest.mark.parametrize("status", [400, 413, 422, 431])
def test_an_event_that_no_broker_takes_holds_no_other_up(subscribe: Subscribe, database: Database, status: int) -> None:
    """Event by event, as brokers say that headers are too large or an event is wrong."""
    ingress = subscribe(lambda delivery, _: Reply(status if delivery.id == "huge" else 202))
    letters = PgDeadLetters(database)
    for name in ("huge", "fine"):
        letters.park(Event(name, "/s", "some.type"), "http://intake", "no", 400)
        (letter,) = letters.choose(Choice(state="waiting"))
        letters.redrive(letter)
    assert PgOutbox(database).relay(HttpPublisher(ingress.url).publish, older_than=0) == 1
    assert ingress.ids() == ["huge", "fine"]


def test_an_event_too_large_for_the_headers_of_the_broker_stays_and_holds_no_other_up(
    system: BrokerProcess, handler: Subscriber, worker: Worker, database: Database
) -> None:
    worker.fixed.set()
    letters = PgDeadLetters(database)
    for name, size in (("huge", 100_000), ("fine", 10)):
        letters.park(Event(name, "/s", TYPE, extensions={"note": "x" * size}), "http://intake", "no", 400)
        (letter,) = letters.choose(Choice(state="waiting"))
        letters.redrive(letter)
    publisher = HttpPublisher(f"http://{system.address}/")
    assert PgOutbox(database).relay(publisher.publish, older_than=0) == 1
    assert [delivery.id for delivery in handler.got(1)] == ["fine"]
