"""Delivers the events of one trigger: attempts, back-off, dead letters."""

import asyncio
import base64
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count

from shared.domain.errors import Malformed, Rejected
from shared.events import codec
from shared.events.event import Event
from shared.local.broker import hops, retries
from shared.local.broker.exchange import Exchange
from shared.local.broker.sender import Answer, Sender
from shared.local.broker.store import Failure, Store, patiently
from shared.local.manifests import Trigger

log = logging.getLogger(__name__)

IN_FLIGHT = 16
# Events that wait for their back-off cost memory: with this many of them, later ones wait as well.
_HELD = 2000
_BATCH = 32
# Knative cuts knativeerrordata to 1,024 characters of base64: that is what 768 bytes make.
_ERROR_DATA = 768


class Line:
    """One trigger at work. `slow` is the pause in seconds between attempts at a dead-letter sink that
    has refused a letter as often as the delivery allows."""

    def __init__(
        self,
        trigger: Trigger,
        urls: tuple[str, str | None],
        store: Store,
        sender: Sender,
        exchange: Exchange,
        slow: float,
    ) -> None:
        self._trigger = trigger
        self._url, self._dead_letter_url = urls
        self._store = store
        self._sender = sender
        self._exchange = exchange
        self._slow = slow
        self._news = exchange.news(trigger.name)
        self._stopping = asyncio.Event()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._held = asyncio.Semaphore(_HELD)

    def stop(self) -> None:
        """Starts nothing more; `run` returns when the attempts in flight have ended."""
        self._stopping.set()
        self._news.set()

    async def run(self) -> None:
        """Delivers what is outstanding, then what comes in."""
        name = self._trigger.name
        failures = await patiently(self._store.failures, name)
        last: str | None = None
        async with asyncio.TaskGroup() as deliveries:
            while not self._stopping.is_set():
                self._news.clear()
                # No more is read than can be tried soon.
                async with self._slots:
                    entries = await patiently(self._store.after, name, last, _BATCH)
                for last, stored in entries:
                    await self._held.acquire()
                    deliveries.create_task(self._carry(last, stored, failures.pop(last, None)))
                if not entries and not self._stopping.is_set():
                    await self._news.wait()

    async def _carry(self, entry: str, stored: bytes, failure: Failure | None) -> None:
        try:
            if await self._settle(entry, codec.from_json(stored), failure):
                await patiently(self._store.remove, self._trigger.name, entry)
        except Malformed:
            # Written by a version with other rules: it would be unreadable for ever.
            log.error("dropped: the stored event is unreadable", extra={"facts": {"trigger": self._trigger.name}})
            await patiently(self._store.remove, self._trigger.name, entry)
        finally:
            self._held.release()

    async def _settle(self, entry: str, event: Event, failure: Failure | None) -> bool:
        """True when the event was delivered or buried, False if the broker stops before that."""
        delivery = self._trigger.delivery
        attempts = failure.attempts if failure else 0
        while failure is None or not retries.is_final(delivery, attempts, failure.status):
            attempts += 1
            post = partial(self._sender.deliver, self._url, hops.leaving(event), delivery.timeout)
            answer = await self._attempt("event", post, self._facts(event, attempts))
            if answer is None:
                return False
            if answer.accepted:
                await self._take_replies(event, answer.replies)
                return True
            failure = Failure(attempts, answer.status, answer.body[:_ERROR_DATA])
            await patiently(self._store.record, self._trigger.name, entry, failure)
            if not retries.is_final(delivery, attempts, answer.status):
                await self._pause(retries.pause(delivery, attempts, answer.status, answer.retry_after))
        return await self._bury(event, failure)

    async def _bury(self, event: Event, failure: Failure) -> bool:
        if self._dead_letter_url is None:
            log.error("dropped: there is no dead-letter sink", extra={"facts": self._facts(event, failure.attempts)})
            return True
        letter = dead_letter(hops.leaving(event), self._url, failure)
        delivery = self._trigger.delivery
        post = partial(self._sender.bury, self._dead_letter_url, letter, delivery.timeout)
        for attempts in count(1):
            answer = await self._attempt("dead letter", post, self._facts(event, attempts))
            if answer is None:
                break
            if answer.accepted:
                return True
            given_up = retries.is_final(delivery, attempts, answer.status)
            pause = retries.pause(delivery, attempts, answer.status, answer.retry_after)
            await self._pause(self._slow if given_up else pause)
        return False

    async def _attempt(
        self, what: str, post: Callable[[], Awaitable[Answer]], facts: dict[str, object]
    ) -> Answer | None:
        """The answer to one attempt, None if the broker stops and it was not begun."""
        async with self._slots:
            if self._stopping.is_set():
                return None
            began = time.monotonic()
            answer = await post()
            took = time.monotonic() - began
        facts |= {"status": answer.status, "duration_ms": round(took * 1000, 1), "error": answer.error}
        level, outcome = (logging.INFO, "delivered") if answer.accepted else (logging.WARNING, "not delivered")
        log.log(level, "%s %s", what, outcome, extra={"facts": facts})
        return answer

    async def _take_replies(self, event: Event, replies: tuple[Event, ...]) -> None:
        if not replies:
            return
        try:
            await patiently(self._exchange.accept, [hops.reply(reply, event) for reply in replies])
        except Rejected as error:
            log.error("dropped a reply: %s", error, extra={"facts": self._facts(event)})

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _facts(self, event: Event, attempt: int | None = None) -> dict[str, object]:
        return {"trigger": self._trigger.name, "type": event.type, "id": event.id, "attempt": attempt}


def dead_letter(event: Event, destination: str, failure: Failure) -> Event:
    """The event with Knative's three attributes that say where it failed, how, and with what answer."""
    said = {"knativeerrordest": destination, "knativeerrorcode": str(failure.status)}
    if failure.body:
        said["knativeerrordata"] = base64.b64encode(failure.body[:_ERROR_DATA]).decode()
    return replace(event, extensions={**event.extensions, **said})
