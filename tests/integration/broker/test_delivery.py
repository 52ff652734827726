"""Deliveries: filters, retries, replies, and what does not hold up what."""

import asyncio
import json
import threading
from itertools import pairwise
from pathlib import Path

from tests.integration.broker.actors import (
    TYPE,
    Delivery,
    Reply,
    Valkey,
    broker,
    event,
    eventually,
    reference,
    refuses,
    retries,
    trigger,
)
from tests.integration.broker.conftest import Start, Subscribe
from tests.integration.broker.standing import StandingClock, standing


def test_an_event_reaches_the_subscriber_in_binary_mode_as_it_came(start: Start, subscribe: Subscribe) -> None:
    embedder = subscribe()
    process = start(broker(), trigger("embedder"), embedder=embedder)
    headers = event(subject="a/b", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    process.publish({**headers, "content-type": "application/json"}, b'{"taskId": 1}')
    (delivery,) = embedder.got(1)
    seen = {name: value for name, value in delivery.headers.items() if name.startswith("ce-")}
    assert seen == headers
    assert delivery.headers["content-type"] == "application/json"
    assert delivery.headers["prefer"] == "reply"
    assert (delivery.path, delivery.body) == ("/", b'{"taskId": 1}')


def test_an_event_without_data_gets_no_content_type(start: Start, subscribe: Subscribe) -> None:
    embedder = subscribe()
    process = start(broker(), trigger("embedder"), embedder=embedder)
    process.publish(event())
    (delivery,) = embedder.got(1)
    assert "content-type" not in delivery.headers
    assert delivery.body == b""


def test_the_uri_of_a_subscriber_is_joined_to_the_address_of_its_service(start: Start, subscribe: Subscribe) -> None:
    intake = subscribe()
    process = start(broker(), trigger("letters", subscriber=reference("intake", "/dead-letters")), intake=intake)
    process.publish(event())
    assert intake.got(1)[0].path == "/dead-letters"


def test_a_trigger_gets_only_what_its_filter_wants(start: Start, subscribe: Subscribe) -> None:
    ends = {"typed": subscribe(), "extended": subscribe(), "present": subscribe(), "everything": subscribe()}
    process = start(
        broker(),
        trigger("typed", {"type": TYPE, "source": "/test"}),
        trigger("extended", {"tenant": "a"}),
        trigger("present", {"tenant": ""}),
        trigger("everything"),
        **ends,
    )
    plain = process.publish(event())
    other = process.publish(event("another.type"))
    of_a = process.publish(event("another.type", tenant="a"))
    of_b = process.publish(event("another.type", tenant="b"))
    ends["everything"].got(4)
    eventually(lambda: ends["typed"].ids() == [plain])
    eventually(lambda: ends["extended"].ids() == [of_a])
    eventually(lambda: sorted(ends["present"].ids()) == sorted([of_a, of_b]))
    assert set(ends["everything"].ids()) == {plain, other, of_a, of_b}


def test_the_retries_follow_the_timetable_that_knative_keeps(
    tmp_path: Path, shared_valkey: Valkey, subscribe: Subscribe
) -> None:
    clock, times = StandingClock(), list[float]()
    failing, letters = subscribe(clock.timed(times, refuses(500))), subscribe()
    delivery = retries(3, "PT0.2S", deadLetterSink=reference("letters"))

    async def scenario() -> None:
        documents = (broker(), trigger("failing", delivery=delivery))
        async with standing(tmp_path, shared_valkey, *documents, failing=failing, letters=letters) as process:
            await process.send(event())
            for _ in range(3):
                await clock.skip()
            await asyncio.to_thread(letters.got, 1)

    clock.run(scenario())
    assert len(times) == 4
    for moment, expected in zip(times, (0, 0.2, 0.6, 1.4), strict=True):
        assert expected - 0.01 <= moment <= expected + 0.01


def test_a_linear_back_off_begins_with_none_and_grows_by_the_delay(
    tmp_path: Path, shared_valkey: Valkey, subscribe: Subscribe
) -> None:
    clock, times = StandingClock(), list[float]()
    failing = subscribe(clock.timed(times, refuses(500, 500, 500, 204)))
    delivery = {"retry": 3, "backoffPolicy": "linear", "backoffDelay": "PT0.15S"}

    async def scenario() -> None:
        documents = (broker(), trigger("failing", delivery=delivery))
        async with standing(tmp_path, shared_valkey, *documents, failing=failing) as process:
            await process.send(event())
            for _ in range(2):
                await clock.skip()
            await asyncio.to_thread(failing.got, 4)

    clock.run(scenario())
    pauses = [later - earlier for earlier, later in pairwise(times)]
    for pause, expected in zip(pauses, (0, 0.15, 0.3), strict=True):
        assert expected - 0.01 <= pause <= expected + 0.01


def test_answers_that_may_change_are_retried_until_one_is_a_success(start: Start, subscribe: Subscribe) -> None:
    unsteady = subscribe(refuses(404, 408, 409, 429, 500, 503, 202))
    process = start(broker(), trigger("unsteady", delivery=retries(6, "PT0.01S")), unsteady=unsteady)
    process.publish(event())
    unsteady.got(7)
    done = eventually(lambda: [line for line in process.logs() if line["message"] == "event delivered"])
    assert [line["attempt"] for line in done] == [7]


def test_other_answers_are_final_at_once_and_redirects_that_lead_somewhere_are_followed(
    start: Start, subscribe: Subscribe
) -> None:
    elsewhere, letters = subscribe(refuses(410)), subscribe()
    wrong = subscribe(refuses(400))
    moved = subscribe(refuses(307, headers={"Location": elsewhere.url}))
    process = start(
        broker(retries(3, deadLetterSink=reference("letters"))),
        trigger("wrong"),
        trigger("moved"),
        wrong=wrong,
        moved=moved,
        letters=letters,
    )
    process.publish(event())
    codes = {letter.headers["ce-knativeerrordest"]: letter.headers["ce-knativeerrorcode"] for letter in letters.got(2)}
    assert codes == {wrong.url + "/": "400", moved.url + "/": "410"}
    assert (len(wrong.deliveries), len(moved.deliveries), len(elsewhere.deliveries)) == (1, 1, 1)


def test_retry_after_is_waited_for_if_the_delivery_says_so(
    tmp_path: Path, shared_valkey: Valkey, subscribe: Subscribe
) -> None:
    clock, times = StandingClock(), list[float]()
    busy = subscribe(clock.timed(times, refuses(503, 204, headers={"Retry-After": "1"})))

    async def scenario() -> None:
        documents = (broker(), trigger("busy", delivery=retries(1, "PT0.01S", retryAfterMax="PT5S")))
        async with standing(tmp_path, shared_valkey, *documents, busy=busy) as process:
            await process.send(event())
            await clock.skip(1.5)
            await asyncio.to_thread(busy.got, 2)

    clock.run(scenario())
    first, second = times
    assert 0.99 <= second - first < 3


def test_an_attempt_that_takes_too_long_is_a_failure(
    tmp_path: Path, shared_valkey: Valkey, subscribe: Subscribe
) -> None:
    clock, times = StandingClock(), list[float]()
    hangs = Reply(hold=threading.Event())
    slow = subscribe(clock.timed(times, lambda _, number: hangs if number == 1 else Reply()))

    async def scenario() -> None:
        documents = (broker(), trigger("slow", delivery=retries(1, timeout="PT0.3S")))
        async with standing(tmp_path, shared_valkey, *documents, slow=slow) as process:
            await process.send(event())
            await asyncio.to_thread(slow.got, 1)
            for _ in ("the timeout", "the back-off"):
                await clock.skip()
            await asyncio.to_thread(slow.got, 2)

    clock.run(scenario())
    first, second = times
    assert second - first >= 0.3
    assert second - first < 3


def test_a_2xx_with_a_body_that_is_no_event_is_a_failure(start: Start, subscribe: Subscribe) -> None:
    framework, letters = subscribe(lambda *_: Reply(200, b"OK", {"Content-Type": "text/html"})), subscribe()
    delivery = retries(2, deadLetterSink=reference("letters"))
    process = start(broker(), trigger("framework", delivery=delivery), framework=framework, letters=letters)
    process.publish(event())
    (letter,) = letters.got(1)
    assert letter.headers["ce-knativeerrorcode"] == "502"
    assert len(framework.deliveries) == 3


def test_a_2xx_with_a_broken_event_is_a_failure(start: Start, subscribe: Subscribe) -> None:
    broken = subscribe(lambda *_: Reply(200, b"{}", {"Content-Type": "application/cloudevents+json"}))
    letters = subscribe()
    delivery = {"deadLetterSink": reference("letters")}
    process = start(broker(), trigger("broken", delivery=delivery), broken=broken, letters=letters)
    process.publish(event())
    assert letters.got(1)[0].headers["ce-knativeerrorcode"] == "502"


def test_a_reply_event_goes_through_the_broker(start: Start, subscribe: Subscribe) -> None:
    def answer(delivery: Delivery, _number: int) -> Reply:
        reply = {"specversion": "1.0", "id": "r-" + delivery.id, "source": "/s", "type": "reply", "data": {"n": 1}}
        return Reply(200, json.dumps(reply).encode(), {"Content-Type": "application/cloudevents+json"})

    asked, told = subscribe(answer), subscribe()
    process = start(
        broker(), trigger("asked", {"type": TYPE}), trigger("told", {"type": "reply"}), asked=asked, told=told
    )
    sent = process.publish(event())
    (reply,) = told.got(1)
    assert reply.id == "r-" + sent
    assert json.loads(reply.body) == {"n": 1}
    assert len(asked.deliveries) == 1


def test_a_reply_without_data_is_a_reply(start: Start, subscribe: Subscribe) -> None:
    asked, told = subscribe(lambda *_: Reply(200, b"", event("reply", "r"))), subscribe()
    process = start(
        broker(), trigger("asked", {"type": TYPE}), trigger("told", {"type": "reply"}), asked=asked, told=told
    )
    process.publish(event())
    assert told.got(1)[0].id == "r"


def test_a_loop_of_replies_stops_when_the_hops_are_used_up(start: Start, subscribe: Subscribe) -> None:
    echo = subscribe(lambda _, number: Reply(200, b"", event(event_id=str(number))))
    process = start(broker(), trigger("echo"), echo=echo)
    process.publish(event(knativebrokerttl="6"))
    eventually(lambda: any("dropped a reply" in line["message"] for line in process.logs()))
    assert len(echo.deliveries) == 5
    assert all("ce-knativebrokerttl" not in delivery.headers for delivery in echo.deliveries)


def test_a_slow_trigger_does_not_delay_another(start: Start, subscribe: Subscribe) -> None:
    hold = threading.Event()
    slow, quick = subscribe(lambda *_: Reply(hold=hold)), subscribe()
    process = start(broker(), trigger("slow"), trigger("quick"), slow=slow, quick=quick)
    sent = {process.publish(event()) for _ in range(60)}
    eventually(lambda: set(quick.ids()) == sent)
    assert len(slow.got(16)) == 16
    hold.set()
    eventually(lambda: set(slow.ids()) == sent)


def test_events_in_back_off_do_not_hold_up_the_events_behind_them(
    tmp_path: Path, shared_valkey: Valkey, subscribe: Subscribe
) -> None:
    def answer(delivery: Delivery, _number: int) -> Reply:
        return Reply(503 if "ce-poison" in delivery.headers else 204)

    clock, picky = StandingClock(), subscribe(answer)

    async def scenario() -> None:
        documents = (broker(), trigger("picky", delivery=retries(5, "PT30S")))
        async with standing(tmp_path, shared_valkey, *documents, picky=picky) as process:
            for _ in range(40):
                await process.send(event(poison="yes"))
            began = clock.time()
            good = {await process.send(event()) for _ in range(5)}
            await asyncio.to_thread(eventually, lambda: good <= set(picky.ids()))
            assert clock.time() - began < 10

    clock.run(scenario())


def test_a_delivery_is_told_in_one_log_line_without_its_data(start: Start, subscribe: Subscribe) -> None:
    unsteady = subscribe(refuses(503, 204))
    process = start(broker(), trigger("unsteady", delivery=retries(1)), unsteady=unsteady)
    sent = process.publish({**event(), "content-type": "text/plain"}, b"a secret prompt")
    unsteady.got(2)
    lines = eventually(lambda: [line for line in process.logs() if line.get("id") == sent and line["attempt"] == 2])
    (line,) = lines
    assert line.items() >= {"trigger": "unsteady", "type": TYPE, "attempt": 2, "status": 204, "level": "info"}.items()
    assert line["duration_ms"] >= 0 and line["time"].endswith("Z") and line["message"] == "event delivered"
    assert "secret" not in json.dumps(process.logs())
