"""Nothing is lost: crashes of the broker and of Redis, restarts with other triggers, an orderly stop."""

import asyncio
import logging
import threading
import time
from pathlib import Path

import pytest
from redis import Redis

from tests.integration.broker.actors import (
    TYPE,
    Reply,
    Valkey,
    broker,
    event,
    eventually,
    ping,
    reference,
    refuses,
    retries,
    trigger,
    write,
)
from tests.integration.broker.conftest import Start, Subscribe
from tests.integration.broker.standing import StandingClock, standing


def test_a_broker_killed_in_mid_retry_delivers_at_once_when_it_is_back(start: Start, subscribe: Subscribe) -> None:
    well = threading.Event()
    failing = subscribe(lambda *_: Reply(204 if well.is_set() else 503))
    process = start(broker(), trigger("failing", delivery=retries(5, "PT10M")), failing=failing)
    sent = {process.publish(event()) for _ in range(20)}
    eventually(lambda: sum(line.get("status") == 503 for line in process.logs()) == 20)
    process.kill()
    well.set()
    process.start()
    back = time.monotonic()
    eventually(lambda: sum(line.get("status") == 204 for line in process.logs()) == 20)
    assert max(again.at for again in failing.deliveries[20:]) - back < 15
    assert set(failing.ids()[20:]) == sent and len(failing.deliveries) == 40


def test_a_broker_killed_in_mid_flight_loses_nothing(start: Start, subscribe: Subscribe) -> None:
    hold = threading.Event()
    slow = subscribe(lambda *_: Reply(hold=hold))
    process = start(broker(), trigger("slow"), slow=slow)
    sent = {process.publish(event()) for _ in range(40)}
    slow.got(16)
    process.kill()
    hold.set()
    process.start()
    eventually(lambda: set(slow.ids()) == sent)


def test_a_crash_does_not_start_the_count_of_attempts_anew(start: Start, subscribe: Subscribe) -> None:
    failing, letters = subscribe(refuses(500)), subscribe()
    delivery = retries(3, "PT10M", deadLetterSink=reference("letters"))
    process = start(broker(), trigger("failing", delivery=delivery), failing=failing, letters=letters)
    process.publish(event())
    for attempts in (1, 2, 3):
        eventually(lambda attempts=attempts: [line for line in process.logs() if line.get("attempt") == attempts])  # type: ignore[misc]
        _wait_until_recorded(process.redis, process.prefix, attempts)
        process.kill()
        process.start()
    letters.got(1)
    assert len(failing.deliveries) == 4


def _wait_until_recorded(url: str, prefix: str, attempts: int) -> None:
    with Redis.from_url(url) as redis:
        eventually(lambda: any(f"[{attempts}," in value.decode() for value in redis.hvals(f"{prefix}failures:failing")))


def test_a_letter_that_was_not_taken_before_a_crash_is_delivered_after_it(start: Start, subscribe: Subscribe) -> None:
    well = threading.Event()
    failing, letters = subscribe(refuses(400)), subscribe(lambda *_: Reply(204 if well.is_set() else 503))
    process = start(
        broker(retries(1, "PT10M", deadLetterSink=reference("letters"))),
        trigger("failing"),
        failing=failing,
        letters=letters,
    )
    process.publish(event())
    letters.got(1)
    process.kill()
    well.set()
    process.start()
    before, after = letters.got(2)
    assert after.headers["ce-knativeerrorcode"] == before.headers["ce-knativeerrorcode"] == "400"
    assert len(failing.deliveries) == 1


def test_redis_killed_and_restarted_loses_nothing_that_was_accepted(
    start: Start, subscribe: Subscribe, own_valkey: Valkey
) -> None:
    well = threading.Event()
    failing = subscribe(lambda *_: Reply(204 if well.is_set() else 503))
    process = start(broker(), trigger("failing", delivery=retries(30, "PT0.1S")), redis=own_valkey, failing=failing)
    sent = {process.publish(event()) for _ in range(50)}
    own_valkey.kill()
    process.kill()
    own_valkey.start()
    well.set()
    process.start()
    eventually(lambda: set(failing.ids()[-50:]) == sent)


def test_redis_killed_under_a_running_broker_only_delays(
    start: Start, subscribe: Subscribe, own_valkey: Valkey
) -> None:
    hold = threading.Event()
    slow = subscribe(lambda *_: Reply(hold=hold))
    process = start(broker(), trigger("slow"), redis=own_valkey, slow=slow)
    sent = [process.publish(event()) for _ in range(40)]
    slow.got(16)
    own_valkey.kill()
    hold.set()
    eventually(lambda: any("Redis is away" in line["message"] for line in process.logs()))
    own_valkey.start()
    eventually(lambda: set(slow.ids()) == set(sent))
    eventually(lambda: _outstanding(process.redis, process.prefix) == 0)
    assert sorted(slow.ids()) == sorted(sent)


def _outstanding(url: str, prefix: str) -> int:
    with Redis.from_url(url) as redis:
        return sum(int(redis.xlen(key)) for key in redis.keys(f"{prefix}events:*"))


def test_what_was_delivered_is_gone_from_redis(start: Start, subscribe: Subscribe) -> None:
    unsteady, letters = subscribe(refuses(503, 204, 400, 204)), subscribe()
    process = start(
        broker(retries(1, deadLetterSink=reference("letters"))), trigger("unsteady"), unsteady=unsteady, letters=letters
    )
    for _ in range(3):
        process.publish(event())
    unsteady.got(4)
    letters.got(1)
    eventually(lambda: _outstanding(process.redis, process.prefix) == 0)
    with Redis.from_url(process.redis) as redis:
        eventually(lambda: not redis.exists(f"{process.prefix}failures:unsteady"))
        assert all(key.startswith(process.prefix.encode()) for key in redis.keys(f"*{process.prefix}*"))


def test_a_new_trigger_starts_with_now_and_a_removed_one_is_forgotten(start: Start, subscribe: Subscribe) -> None:
    hold = threading.Event()
    old, new = subscribe(lambda *_: Reply(hold=hold)), subscribe()
    process = start(broker(), trigger("old"), old=old, new=new)
    process.publish(event())
    old.got(1)
    process.kill()
    (process.manifests / "triggers/old.yaml").unlink()
    write(process.manifests, trigger("new"))
    process.start()
    sent = process.publish(event())
    new.got(1)
    assert new.ids() == [sent]
    assert len(old.deliveries) == 1
    with Redis.from_url(process.redis) as redis:
        assert redis.keys(f"{process.prefix}*old*") == []


def test_a_stopped_broker_takes_nothing_more_and_lets_deliveries_in_flight_end(
    tmp_path: Path, shared_valkey: Valkey, subscribe: Subscribe, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "shared.local.broker")
    clock, hold = StandingClock(), threading.Event()
    slow = subscribe(lambda *_: Reply(hold=hold))

    async def scenario() -> None:
        documents = (broker(), trigger("slow", {"type": TYPE}), ping("tick"))
        async with standing(tmp_path, shared_valkey, *documents, slow=slow) as process:
            sent = await process.send(event())
            await asyncio.to_thread(slow.got, 1)
            began = clock.time()
            await process.told_to_stop()
            assert not process.task.done()
            hold.set()
            await process.task
            assert clock.time() - began < 4
        facts = [getattr(record, "facts", {}) for record in caplog.records]
        assert [each["status"] for each in facts if each.get("id") == sent] == [204]
        assert _outstanding(process.redis, process.prefix) == 0

    clock.run(scenario())


@pytest.mark.parametrize("delay", ["PT0.01S", "PT30S"])
def test_a_stopped_broker_waits_ten_seconds_at_most(
    tmp_path: Path, shared_valkey: Valkey, subscribe: Subscribe, delay: str
) -> None:
    clock = StandingClock()
    failing, hung = subscribe(refuses(503)), subscribe(lambda *_: Reply(hold=threading.Event()))

    async def scenario() -> None:
        documents = (broker(), trigger("failing", delivery=retries(900, delay)), trigger("hung"))
        async with standing(tmp_path, shared_valkey, *documents, failing=failing, hung=hung) as process:
            await process.send(event())
            await asyncio.to_thread(failing.got, 1)
            await asyncio.to_thread(hung.got, 1)
            began = clock.time()
            await process.told_to_stop()
            clock.move(9.9)
            await process.task
            assert clock.time() - began < 10
        assert _outstanding(process.redis, process.prefix) == 2

    clock.run(scenario())


@pytest.mark.parametrize("delay", ["PT0.01S", "PT30S"])
def test_a_stopped_broker_waits_for_no_back_off_and_no_hung_subscriber(
    start: Start, subscribe: Subscribe, delay: str
) -> None:
    failing, hung = subscribe(refuses(503)), subscribe(lambda *_: Reply(hold=threading.Event()))
    process = start(
        broker(), trigger("failing", delivery=retries(900, delay)), trigger("hung"), failing=failing, hung=hung
    )
    process.publish(event())
    failing.got(1)
    hung.got(1)
    process.terminate()
    assert process.exit_code() == 0
    assert _outstanding(process.redis, process.prefix) == 2
