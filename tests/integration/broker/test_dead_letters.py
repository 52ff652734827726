"""Dead letters: where they go, what they say, and that none is lost."""

import asyncio
import base64
import socket
from pathlib import Path

from aiohttp import web

from shared.local import manifests
from shared.local.broker.broker import Broker
from shared.local.broker.sender import session
from shared.local.broker.store import Store, connect
from tests.integration.broker.actors import (
    BrokerProcess,
    Reply,
    Valkey,
    broker,
    event,
    eventually,
    reference,
    refuses,
    retries,
    trigger,
    write,
)
from tests.integration.broker.conftest import Start, Subscribe
from tests.integration.broker.standing import StandingClock, standing
from tests.patience import PATIENCE


def test_a_dead_letter_says_where_it_failed_how_and_with_what_answer(start: Start, subscribe: Subscribe) -> None:
    wrong, letters = subscribe(lambda *_: Reply(422, b'{"title":"no"}\n')), subscribe()
    delivery = retries(3, deadLetterSink=reference("letters", "/dead-letters"))
    process = start(broker(), trigger("wrong", delivery=delivery), wrong=wrong, letters=letters)
    headers = event(tenant="a")
    process.publish({**headers, "content-type": "text/plain"}, b"data")
    (letter,) = letters.got(1)
    assert letter.path == "/dead-letters"
    assert letter.body == b"data"
    assert {name: letter.headers[name] for name in headers} == headers
    assert letter.headers["ce-knativeerrordest"] == wrong.url + "/"
    assert letter.headers["ce-knativeerrorcode"] == "422"
    assert base64.b64decode(letter.headers["ce-knativeerrordata"]) == b'{"title":"no"}\n'


def test_a_long_answer_is_cut_and_an_empty_one_is_left_out(start: Start, subscribe: Subscribe) -> None:
    long, empty, letters = subscribe(lambda *_: Reply(400, b"x" * 5000)), subscribe(refuses(400)), subscribe()
    process = start(
        broker({"deadLetterSink": reference("letters")}),
        trigger("long"),
        trigger("empty"),
        long=long,
        empty=empty,
        letters=letters,
    )
    process.publish(event())
    data = {
        letter.headers["ce-knativeerrordest"]: letter.headers.get("ce-knativeerrordata") for letter in letters.got(2)
    }
    assert data[empty.url + "/"] is None
    cut = data[long.url + "/"]
    assert cut is not None and len(cut) == 1024 and base64.b64decode(cut) == b"x" * 768


def test_a_subscriber_that_is_away_is_noted_as_500(start: Start, subscribe: Subscribe, tmp_path: Path) -> None:
    letters = subscribe()
    with socket.socket() as taken:
        # Bound and not listening: every connection is refused, and nobody else can take the port.
        taken.bind(("127.0.0.1", 0))
        write(tmp_path, broker(retries(1, deadLetterSink=reference("letters"))), trigger("away"))
        process = start(letters=letters, away=Away(f"http://127.0.0.1:{taken.getsockname()[1]}"))
        process.publish(event())
        (letter,) = letters.got(1)
    assert letter.headers["ce-knativeerrorcode"] == "500"
    assert base64.b64decode(letter.headers["ce-knativeerrordata"]).startswith(b"dispatch error: ")


class Away:
    """The address of a subscriber that does not run."""

    def __init__(self, url: str) -> None:
        self.url = url


def test_a_triggers_delivery_replaces_the_brokers_as_a_whole(start: Start, subscribe: Subscribe) -> None:
    failing, letters = subscribe(refuses(500)), subscribe()
    process = start(
        broker(retries(1, deadLetterSink=reference("letters"))),
        trigger("failing", delivery={"retry": 0}),
        failing=failing,
        letters=letters,
    )
    process.publish(event())
    eventually(lambda: any(line["message"].startswith("dropped: there is no") for line in process.logs()))
    assert (len(failing.deliveries), len(letters.deliveries)) == (1, 0)


def test_the_sink_gets_the_same_retries(tmp_path: Path, shared_valkey: Valkey, subscribe: Subscribe) -> None:
    clock, times = StandingClock(), list[float]()
    failing, letters = subscribe(refuses(500)), subscribe(clock.timed(times, refuses(503, 500, 204)))
    delivery = retries(2, "PT0.2S", deadLetterSink=reference("letters"))

    async def scenario() -> None:
        documents = (broker(), trigger("failing", delivery=delivery))
        async with standing(tmp_path, shared_valkey, *documents, failing=failing, letters=letters) as process:
            await process.send(event())
            for _ in range(2 + 2):
                await clock.skip()
            await asyncio.to_thread(letters.got, 3)

    clock.run(scenario())
    for moment, expected in zip([each - times[0] for each in times], (0, 0.2, 0.6), strict=True):
        assert expected - 0.01 <= moment <= expected + 0.01


def test_the_sinks_body_is_not_looked_at(start: Start, subscribe: Subscribe) -> None:
    failing, letters = subscribe(refuses(400)), subscribe(lambda *_: Reply(200, b"OK"))
    delivery = retries(2, deadLetterSink=reference("letters"))
    process = start(broker(), trigger("failing", delivery=delivery), failing=failing, letters=letters)
    process.publish(event())
    eventually(lambda: any(line["message"] == "dead letter delivered" for line in process.logs()))
    assert len(letters.deliveries) == 1


def test_a_letter_that_the_sink_refuses_is_kept_and_tried_for_ever(
    tmp_path: Path, shared_valkey: Valkey, subscribe: Subscribe
) -> None:
    failing, letters = subscribe(refuses(400)), subscribe(refuses(*[400] * 6, 204))
    write(tmp_path, broker(retries(1, deadLetterSink=reference("letters"))), trigger("failing"))
    named = BrokerProcess(tmp_path, shared_valkey.url, {"failing": failing.url, "letters": letters.url})

    async def scenario() -> None:
        redis, stop = connect(shared_valkey.url), asyncio.Event()
        async with redis, session() as client:
            store = Store(redis, named.prefix)
            found = manifests.load(tmp_path)
            one = Broker(found, named.services, store, client, slow_retry=0.05)
            server = web.AppRunner(one.application)
            await server.setup()
            site = web.TCPSite(server, "127.0.0.1", 0)
            await site.start()
            running = asyncio.create_task(one.run(stop))
            host, port = server.addresses[0]
            async with client.post(f"http://{host}:{port}/", headers=event()) as answer:
                assert answer.status == 202
            await asyncio.to_thread(letters.got, 7)
            async with asyncio.timeout(PATIENCE):
                while await store.after("failing", None, 10):
                    await asyncio.sleep(0.01)
            stop.set()
            await running
            await server.cleanup()

    asyncio.run(scenario())
    assert (len(failing.deliveries), len(letters.deliveries)) == (1, 7)
