"""Takes events in: stores each for every trigger that wants it, and wakes their lines."""

import asyncio
from collections.abc import Iterable, Sequence

from shared.events import codec
from shared.events.event import Event
from shared.local.broker import hops
from shared.local.broker.store import Store
from shared.local.manifests import Trigger


class Exchange:
    """The one way into the broker, for the ingress, for replies and for ping sources."""

    def __init__(self, triggers: Iterable[Trigger], store: Store) -> None:
        self._store = store
        self._triggers = tuple(triggers)
        self._news = {trigger.name: asyncio.Event() for trigger in self._triggers}

    def news(self, trigger: str) -> asyncio.Event:
        """Set whenever something may have come in for the trigger of this name."""
        return self._news[trigger]

    async def accept(self, events: Sequence[Event]) -> None:
        """Stores all events or none; RedisError if Redis is away, Rejected if a hop limit is used up."""
        wanted = [
            (trigger.name, codec.to_json(hops.entering(event)))
            for event in events
            for trigger in self._triggers
            if trigger.wants(event)
        ]
        try:
            await self._store.add(wanted)
        finally:
            # In every case: an answer that was lost on its way may have been a success.
            for trigger, _ in wanted:
                self._news[trigger].set()
