"""Ping sources: events on a schedule, at the start, and on demand."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import croniter

from shared.events.event import Event
from shared.local.broker.exchange import Exchange
from shared.local.broker.store import Store, patiently
from shared.local.manifests import PingSource

_NAMESPACE = uuid.UUID("5b3f8f1e-6f0a-5c5d-9a53-0d8f0a3b7c11")
# A laptop that slept sets the clock forward, not the timers.
_LONGEST_SLEEP = 5.0


class Pings:
    """The ping sources of the manifests."""

    def __init__(self, sources: Sequence[PingSource], exchange: Exchange, store: Store) -> None:
        self._sources = sources
        self._exchange = exchange
        self._store = store

    async def fire(self) -> None:
        """One event of every source now; RedisError while Redis is away."""
        now = datetime.now(UTC)
        await self._exchange.accept([ping_event(source, now) for source in self._sources])

    async def run(self) -> None:
        """Fires once, which stands for all that was missed, then on schedule, until it is cancelled."""
        await patiently(self.fire)
        async with asyncio.TaskGroup() as schedules:
            for source in self._sources:
                schedules.create_task(self._keep(source))

    async def _keep(self, source: PingSource) -> None:
        while True:
            tick = next_tick(source, datetime.now(UTC))
            while (left := (tick - datetime.now(UTC)).total_seconds()) > 0:
                await asyncio.sleep(min(left, _LONGEST_SLEEP))
            if await patiently(self._store.claim, source.name, tick.isoformat()):
                await patiently(self._exchange.accept, [ping_event(source, tick)])


def next_tick(source: PingSource, now: datetime) -> datetime:
    """The first moment of the schedule after `now`, in UTC."""
    local: datetime = croniter(source.schedule, now.astimezone(ZoneInfo(source.timezone))).get_next(datetime)
    return local.astimezone(UTC)


def ping_event(source: PingSource, tick: datetime) -> Event:
    """The event of one tick; the same tick gives the same id."""
    name = f"/apis/v1/namespaces/default/pingsources/{source.name}"
    moment = tick.isoformat().replace("+00:00", "Z")
    return Event(
        id=str(uuid.uuid5(_NAMESPACE, f"{name}@{moment}")),
        source=name,
        type="dev.knative.sources.ping",
        time=moment,
        datacontenttype=source.content_type,
        data=source.data,
    )
