"""The broker put together: one line per trigger behind one exchange."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from aiohttp import ClientSession, web

from shared.local.broker.exchange import Exchange
from shared.local.broker.ingress import application
from shared.local.broker.line import Line
from shared.local.broker.pings import Pings
from shared.local.broker.sender import Sender
from shared.local.broker.store import Store, patiently
from shared.local.manifests import Manifests

SLOW_RETRY = 30.0
_GRACE = 5.0


class Broker:
    """`addresses` maps the names of Services to base URLs; it has one for each that is named."""

    def __init__(
        self,
        manifests: Manifests,
        addresses: Mapping[str, str],
        store: Store,
        client: ClientSession,
        slow_retry: float = SLOW_RETRY,
    ) -> None:
        self._store = store
        self._triggers = manifests.triggers
        exchange = Exchange(manifests.triggers, store)
        sender = Sender(client)
        self._pings = Pings(manifests.pings, exchange, store)
        self._lines: list[Line] = []
        for trigger in manifests.triggers:
            sink = trigger.delivery.dead_letter_sink
            urls = (trigger.subscriber.url(addresses), sink.url(addresses) if sink else None)
            self._lines.append(Line(trigger, urls, store, sender, exchange, slow_retry))
        self.application: web.Application = application(exchange, self._pings, store)

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until `stop` is set, then lets the attempts in flight end, for up to 5 s."""
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as grace, asyncio.TaskGroup() as work:
                sources = work.create_task(self._start(work))
                await stop.wait()
                sources.cancel()
                for line in self._lines:
                    line.stop()
                grace.reschedule(asyncio.get_running_loop().time() + _GRACE)

    async def _start(self, work: asyncio.TaskGroup) -> None:
        await patiently(self._store.adopt, [trigger.name for trigger in self._triggers])
        for line in self._lines:
            work.create_task(line.run())
        await self._pings.run()
