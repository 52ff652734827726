"""Ping sources: at the start, on demand, on schedule, and no tick twice."""

import asyncio
from datetime import UTC, datetime

from shared.local.broker.exchange import Exchange
from shared.local.broker.pings import Pings, next_tick, ping_event
from shared.local.broker.store import Store, connect
from shared.local.manifests import Delivery, Destination, PingSource, Trigger
from tests.integration.broker.actors import Valkey, broker, event, ping, trigger
from tests.integration.broker.conftest import Start, Subscribe
from tests.patience import PATIENCE

PING = "dev.knative.sources.ping"


def test_a_ping_comes_at_the_start_and_whenever_it_is_asked_for(start: Start, subscribe: Subscribe) -> None:
    dispatcher = subscribe()
    process = start(broker(), trigger("dispatcher", {"type": PING}), ping("tick"), dispatcher=dispatcher)
    dispatcher.got(1)
    assert process.request("POST", "/ping")[0] == 202
    first, second = dispatcher.got(2)
    assert first.id != second.id
    assert first.headers["ce-source"] == "/apis/v1/namespaces/default/pingsources/tick"
    assert (first.headers["content-type"], first.body) == ("application/json", b"{}")


def test_a_ping_takes_the_way_of_every_event(start: Start, subscribe: Subscribe) -> None:
    dispatcher = subscribe()
    process = start(broker(), trigger("dispatcher", {"type": "other"}), ping("tick"), dispatcher=dispatcher)
    sent = process.publish(event("other"))
    dispatcher.got(1)
    assert dispatcher.ids() == [sent]


def test_the_same_tick_has_the_same_id_everywhere_and_another_tick_another() -> None:
    source = PingSource("tick", "* * * * *")
    noon, later = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 12, 1, tzinfo=UTC)
    assert ping_event(source, noon) == ping_event(source, noon)
    assert len({ping_event(s, t).id for s in (source, PingSource("t2", "* * * * *")) for t in (noon, later)}) == 4


def test_a_schedule_is_read_in_its_time_zone_across_the_change_of_the_clocks() -> None:
    nine = PingSource("nine", "0 9 * * *", "Europe/Paris")
    assert next_tick(nine, datetime(2026, 3, 28, 0, tzinfo=UTC)) == datetime(2026, 3, 28, 8, tzinfo=UTC)
    assert next_tick(nine, datetime(2026, 3, 28, 8, tzinfo=UTC)) == datetime(2026, 3, 29, 7, tzinfo=UTC)


def test_two_brokers_with_one_schedule_send_each_tick_once(shared_valkey: Valkey) -> None:
    # The sixth field is seconds: manifests may not have it, and nobody wants to wait for a minute here.
    source = PingSource("tick", "* * * * * *")
    trigger_ = Trigger("dispatcher", Destination("dispatcher"), Delivery())

    async def scenario() -> list[bytes]:
        redis = connect(shared_valkey.url)
        async with redis:
            store = Store(redis, f"test:{datetime.now(UTC).isoformat()}:")
            runs = [Pings([source], Exchange([trigger_], store), store).run() for _ in range(2)]
            tasks = [asyncio.create_task(run) for run in runs]
            # Two at the start and at least two ticks.
            async with asyncio.timeout(PATIENCE):
                while len(await store.after("dispatcher", None, 100)) < 4:
                    await asyncio.sleep(0.02)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return [stored for _, stored in await store.after("dispatcher", None, 100)]

    stored = asyncio.run(scenario())
    assert len(set(stored)) == len(stored)
