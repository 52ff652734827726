"""The use case below it: one message is edited, by whoever may, and its thread is written."""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

from functions.discord_interaction.card import parts
from shared.domain.card import Card, Opened
from shared.domain.discord import Message, Posted
from shared.domain.errors import Gone, Rejected, Throttled, Unavailable

T = TypeVar("T")
log = logging.getLogger(__name__)

# Another process may have the token that this one lacks: the card is soon free for it.
_FOR_OTHERS_SECONDS = 0.2
# Before Discord has the acknowledgement it knows no message that could be edited.
_ON_ITS_WAY, _ON_ITS_WAY_SECONDS = timedelta(seconds=10), 1.0


class Notes(Protocol):
    """What became of a card that this process has claimed."""

    def edited(self, task_id: UUID, shown: str, at: Posted | None) -> None: ...

    def put_off(self, task_id: UUID, seconds: float) -> None: ...

    def failed(self, task_id: UUID, at_least: float) -> None: ...

    def told(self, task_id: UUID, thread_id: str, told: int) -> None: ...


class Tokens(Protocol):
    """Interactions whose token lives."""

    def get(self, task_id: UUID) -> Opened | None: ...


class Api(Protocol):
    """Discord. Gone for ever, Throttled or Unavailable for now, Rejected for what it cannot make sense of."""

    def edit_original(self, interaction_token: str, message: Message) -> Posted: ...

    def edit_message(self, at: Posted, message: Message) -> None: ...

    def start_thread(self, at: Posted, name: str) -> str: ...

    def send(self, channel_id: str, message: Message, key: str | None = None) -> Posted: ...


class WaitsError(Exception):
    """A card could not be shown for now, and that is noted."""


class AwayError(WaitsError):
    """Nor could any other: Discord is away."""


class Showing:
    """Shows cards. `bot`: whether messages can be edited when the interaction's token is over.

    With `threads` the result of a task is told in full in a thread at its card. WaitsError for what cannot be
    done now, Gone for what can never be done.
    """

    def __init__(
        self, notes: Notes, tokens: Tokens, api: Api, now: Callable[[], datetime], *, bot: bool, threads: bool
    ) -> None:
        self._notes = notes
        self._tokens = tokens
        self._api = api
        self._now = now
        self._bot = bot
        self._threads = threads

    def lasts(self, card: Card) -> bool:
        """Whether the bot may edit the message: one that only its user sees it may not."""
        return self._bot and not card.ephemeral

    def edit(self, card: Card, message: Message, digest: str) -> Posted | None:
        """Where the message is, which shows it now; `digest` stands for it."""
        gone: Gone | None = None
        for way in self._ways(card):
            try:
                at = self._ask(card, partial(way, message))
            except Gone as error:
                gone = error
                continue
            except Rejected as error:
                # It would be refused again: not before something else is to be shown is the card edited.
                log.warning("a card was refused", extra={"facts": {"why": str(error)}})
                at = card.at
            self._notes.edited(card.task_id, digest, at)
            return at
        if gone and card.at is None and self._now() - card.asked_at < _ON_ITS_WAY:
            self._notes.put_off(card.task_id, _ON_ITS_WAY_SECONDS)
            raise WaitsError
        raise gone or self._no_way(card)

    def tell(self, card: Card, result: str) -> bool:
        """Tells the next part of the result in the card's thread; False if all of it is told, or none is to be."""
        if not (self._threads and self.lasts(card) and card.guild_id and card.at):
            return False
        texts = parts(result)
        if card.told >= len(texts):
            return False
        name = f"Task {card.task_id.hex[:8]}"
        thread = card.thread_id or self._ask(card, partial(self._api.start_thread, card.at, name))
        key = f"{card.task_id.hex[:20]}.{card.told}"
        self._ask(card, lambda: self._api.send(thread, Message(texts[card.told]), key))
        self._notes.told(card.task_id, thread, card.told + 1)
        return True

    def _ways(self, card: Card) -> Iterator[Callable[[Message], Posted | None]]:
        interaction = self._tokens.get(card.task_id) if self._now() < card.token_until else None
        if interaction:
            yield partial(self._api.edit_original, interaction.token)
        if card.at and self.lasts(card):
            yield partial(self._edit_as_bot, card.at)

    def _edit_as_bot(self, at: Posted, message: Message) -> Posted:
        self._api.edit_message(at, message)
        return at

    def _no_way(self, card: Card) -> Exception:
        if self._now() >= card.token_until:
            return Gone("the interaction's token is over")
        self._notes.put_off(card.task_id, _FOR_OTHERS_SECONDS)
        return WaitsError()

    def _ask(self, card: Card, call: Callable[[], T]) -> T:
        """What Discord answers."""
        try:
            return call()
        except Throttled as busy:
            self._notes.put_off(card.task_id, busy.retry_after)
            raise WaitsError from None
        except Unavailable as away:
            self._notes.failed(card.task_id, away.retry_after)
            raise AwayError from None
