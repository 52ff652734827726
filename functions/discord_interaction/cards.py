"""The use case: each task that was asked for in Discord has one message there, which stays true to its end."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from functions.discord_interaction import showing
from functions.discord_interaction.card import FOLLOW_IT, Button, Face, face, unknown
from functions.discord_interaction.showing import AwayError, Showing, WaitsError
from shared.domain.card import Card, Opened, TaskFacts
from shared.domain.errors import Gone, Rejected

log = logging.getLogger(__name__)

# So long before its end the interaction's token is used for the last time.
MARGIN = timedelta(minutes=1)
# After so long it is said that a task is not accepted yet, and after a day nobody waits for it any more.
SLOW, LOST = timedelta(minutes=1), timedelta(days=1)
# What follows the end of a task, like a last look at its targets, is waited for so long.
SETTLING = timedelta(minutes=5)
_MOST_A_ROUND = 100


class Store(showing.Notes, Protocol):
    """Cards, each claimed by one process at a time."""

    def open(self, task_id: UUID, opened: Opened) -> None: ...

    def news(self, task_id: UUID) -> bool: ...

    def any_open(self) -> bool: ...

    def claim(self, task_id: UUID | None = None) -> Card | None: ...

    def looked(self, task_id: UUID) -> None: ...

    def end(self, task_id: UUID, why: str) -> None: ...


class Facts(Protocol):
    """What there is to show of a task; None while it is not accepted."""

    def of(self, task_id: UUID) -> TaskFacts | None: ...


class Tokens(showing.Tokens, Protocol):
    """Interactions whose token lives."""

    def put(self, task_id: UUID, opened: Opened) -> None: ...


class Cards:
    """Opens cards and keeps them true; `link` makes the address at which people find a task, "" for none.

    What Discord does never reaches whoever calls: a card waits, or ends. Unavailable while the database is away.
    """

    def __init__(
        self,
        store: Store,
        facts: Facts,
        tokens: Tokens,
        shown: Showing,
        button: Button,
        now: Callable[[], datetime],
        link: Callable[[UUID], str],
    ) -> None:
        self._store = store
        self._facts = facts
        self._tokens = tokens
        self._showing = shown
        self._button = button
        self._now = now
        self._link = link

    def opened(self, task_id: UUID, interaction: Opened) -> None:
        """A task was asked for: its card is shown, and followed from now on. The same again changes nothing."""
        self._tokens.put(task_id, interaction)
        self._store.open(task_id, interaction)
        self._look(self._store.claim(task_id))

    def heard(self, task_id: UUID) -> None:
        """Something happened to a task: the next round looks at its card. Nothing is asked of Discord here."""
        if not self._store.news(task_id) and (interaction := self._tokens.get(task_id)):
            # Whoever had the interaction could not open its card.
            self._store.open(task_id, interaction)

    def round(self) -> bool:
        """Looks at the cards that are due; whether any card is open."""
        for _ in range(_MOST_A_ROUND):
            card = self._store.claim()
            if card is None or not self._look(card):
                break
        return self._store.any_open()

    def _look(self, card: Card | None) -> bool:
        """Brings a card up to date; False if Discord is away."""
        try:
            if card:
                self._update(card)
        except AwayError:
            return False
        except WaitsError:
            return True
        except (Gone, Rejected) as error:
            log.info("a card is left alone", extra={"facts": {"why": str(error)}})
            if card:
                self._store.end(card.task_id, str(error))
        return True

    def _update(self, card: Card) -> None:
        facts = self._facts.of(card.task_id)
        over = self._is_over(card, facts)
        last = over or self._is_left(card)
        going_on = facts is None or facts.finished_at is None
        seen = self._face(card, facts, FOLLOW_IT if last and going_on else "")
        if seen.digest != card.shown:
            message = seen.message(card.task_id, self._button, card.ephemeral)
            card = replace(card, at=self._showing.edit(card, message, seen.digest))
        elif not last:
            self._store.looked(card.task_id)
        if last and not (facts and self._showing.tell(card, facts.result)):
            self._store.end(card.task_id, "the task is over" if over else "the interaction's token is over")

    def _face(self, card: Card, facts: TaskFacts | None, note: str) -> Face:
        if facts is None:
            return unknown(card.task_id, slow=self._age(card) > SLOW, note=note)
        return face(card.task_id, facts, self._link(card.task_id), note)

    def _is_over(self, card: Card, facts: TaskFacts | None) -> bool:
        """Whether there will be nothing more to show."""
        if facts is None:
            return self._age(card) > LOST
        return facts.finished_at is not None and (facts.settled or self._now() - facts.finished_at > SETTLING)

    def _is_left(self, card: Card) -> bool:
        """Whether this is the last time that the card can be edited."""
        return not self._showing.lasts(card) and self._now() >= card.token_until - MARGIN

    def _age(self, card: Card) -> timedelta:
        return self._now() - card.asked_at
