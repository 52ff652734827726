"""The use case: an interaction is answered at once, and what it asks for is noted as an errand.

Before the answer nothing is asked but the broker, which keeps tasks safe. What Discord does not let us put off,
completions and the form for another try, looks into the store for a second at most.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from functions.discord_interaction import answers, modals
from functions.discord_interaction.buttons import KINDS, clicked
from functions.discord_interaction.commands import GROUP, OPTIONS, STAGES
from functions.discord_interaction.interaction import (
    AUTOCOMPLETE,
    COMMAND,
    COMPONENT,
    MODAL,
    PING,
    Interaction,
    Option,
    made_at,
)
from functions.discord_interaction.requests import Asked, requested
from functions.discord_interaction.roles import RoleMap
from functions.discord_interaction.wishes import Ended, Errand, Remembered, Requested, Search, Status, Timeline, Wish
from shared.domain.card import Opened
from shared.domain.errors import FacteurError, Forbidden, Rejected, Unavailable
from shared.events.event import Event

log = logging.getLogger(__name__)

_UNKNOWN = "I do not know this command. Try `/codex plan`, `/codex implement` or `/codex review`."
_ROLES = "Your roles do not allow this command here."
_FOREIGN = "I do not work for this server."
_RETRY = "retry-"
_BUSY = "I have too much to do to answer that now."


class Publisher(Protocol):
    """Hands an event to the broker; Unavailable if it did not take it."""

    def publish(self, event: Event) -> None: ...


class Look(Protocol):
    """Looks into the store for a second at most: what is not found by then is not there."""

    def choices(self, option: str, typed: str, user_id: str, guild_id: str) -> Sequence[tuple[str, str]]: ...

    def original(self, task: UUID) -> Mapping[str, str] | None: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may do what, the keys of buttons, whether cards are for their user alone, and the only server if there is."""

    role_map: RoleMap
    keys: Sequence[str]
    ephemeral: bool = False
    guild_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered at once, and what is done after that."""

    body: Mapping[str, Any]
    errand: Errand | None = None


class Interact:
    """Answers one interaction."""

    def __init__(self, publisher: Publisher, look: Look, rules: Rules) -> None:
        self._publisher = publisher
        self._look = look
        self._rules = rules

    def __call__(self, interaction: Interaction, traceparent: str | None, now: float) -> Reply:
        """`now`: seconds since 1970."""
        kinds: Mapping[int, Callable[[Interaction, str | None, float], Reply]] = {
            COMMAND: self._command,
            COMPONENT: self._click,
            MODAL: self._filled,
            AUTOCOMPLETE: self._complete,
        }
        if interaction.type == PING:
            return Reply(answers.pong())
        try:
            if self._rules.guild_id and interaction.guild_id not in (None, self._rules.guild_id):
                raise Forbidden(_FOREIGN)
            if interaction.type not in kinds:
                raise Rejected(_UNKNOWN)
            return kinds[interaction.type](interaction, traceparent, now)
        except FacteurError as error:
            if interaction.type == AUTOCOMPLETE:
                return Reply(answers.choices([]))
            return Reply(answers.private(str(error)))

    def _command(self, interaction: Interaction, traceparent: str | None, now: float) -> Reply:
        data = interaction.data
        if data.name.lower() == "plan":
            self._require("plan", interaction)
            return Reply(modals.plan(data.id))
        command, options = self._chosen(interaction)
        if command in STAGES:
            texts = {option.name: _text(option) for option in options}
            return self._request(interaction, command, texts, traceparent, now)
        wish = _wish(command, {option.name: _text(option) for option in options})
        return self._errand(interaction, command, wish, True, traceparent, now)

    def _chosen(self, interaction: Interaction) -> tuple[str, list[Option]]:
        """The command below /codex, and its options as far as it declares them."""
        chosen = next(iter(interaction.data.options), None)
        if interaction.data.name.lower() != GROUP or not chosen or chosen.name.lower() not in OPTIONS:
            raise Rejected(_UNKNOWN)
        command = chosen.name.lower()
        self._require(command, interaction)
        return command, [option for option in chosen.options if option.name in OPTIONS[command]]

    def _require(self, command: str, interaction: Interaction) -> None:
        if not self._rules.role_map.allows(command, interaction.roles):
            raise Forbidden(_ROLES)

    def _request(
        self, interaction: Interaction, command: str, texts: Mapping[str, str], traceparent: str | None, now: float
    ) -> Reply:
        asked = Asked(interaction.id, interaction.user_id, interaction.guild_id or "", STAGES[command], texts)
        task, event = requested(asked, traceparent)
        taken = self._published(event)
        wish = Requested(event, task, taken)
        return self._errand(interaction, command, wish, self._rules.ephemeral, traceparent, now)

    def _published(self, event: Event) -> bool:
        try:
            self._publisher.publish(event)
        except (Unavailable, Rejected) as error:
            # A broker that is slow to answer may have it all the same; it is sent again under the same id.
            log.warning("interaction not queued yet", extra={"facts": {"why": str(error)}})
            return False
        return True

    def _click(self, interaction: Interaction, traceparent: str | None, now: float) -> Reply:
        click = clicked(self._rules.keys, interaction.data.custom_id, now)
        command = KINDS[click.kind].command
        self._require(command, interaction)
        if click.kind.startswith(_RETRY):
            return Reply(modals.retry(interaction.data.custom_id, self._look.original(click.task)))
        wishes: Mapping[str, Callable[[UUID], Wish]] = {
            "cancel": Ended,
            "timeline": Timeline,
            "memory": Remembered,
        }
        return self._errand(interaction, command, wishes[click.kind](click.task), True, traceparent, now)

    def _filled(self, interaction: Interaction, traceparent: str | None, now: float) -> Reply:
        fields = interaction.fields
        if modals.is_plan(interaction.data.custom_id):
            command, texts = "plan", {"prompt": fields.get(modals.CONTENT, "")}
        else:
            click = clicked(self._rules.keys, interaction.data.custom_id, now)
            if not click.kind.startswith(_RETRY):
                raise Rejected(_UNKNOWN)
            command = KINDS[click.kind].command
            texts = {name: fields.get(name, "").strip() for name in ("prompt", "repository", "base", "head")}
        self._require(command, interaction)
        return self._request(interaction, command, texts, traceparent, now)

    def _complete(self, interaction: Interaction, _traceparent: str | None, _now: float) -> Reply:
        _, options = self._chosen(interaction)
        asked = next((option for option in options if option.focused), None)
        if asked is None:
            return Reply(answers.choices([]))
        user, guild = interaction.user_id, interaction.guild_id or ""
        return Reply(answers.choices(self._look.choices(asked.name, _text(asked), user, guild)))

    def _errand(
        self, interaction: Interaction, command: str, wish: Wish, private: bool, traceparent: str | None, now: float
    ) -> Reply:
        opened = Opened(
            application_id=interaction.application_id,
            token=interaction.token,
            channel_id=interaction.channel_id or "",
            guild_id=interaction.guild_id,
            user_id=interaction.user_id,
            ephemeral=private,
            created_at=made_at(interaction.id, now),
        )
        named = self._rules.role_map.names(command)
        return Reply(answers.deferred(private), Errand(wish, opened, named, traceparent))


def too_busy(errand: Errand) -> Mapping[str, Any]:
    """The answer if nobody has room for the errand. What the broker has is not taken back."""
    if isinstance(errand.wish, Requested) and errand.wish.taken:
        return answers.private(f"Task `{errand.wish.task}` is queued; `/codex status` shows it.")
    return answers.private(_BUSY)


def _text(option: Option) -> str:
    return "" if option.value is None else str(option.value)


def _wish(command: str, texts: Mapping[str, str]) -> Wish:
    if command == "memory":
        text = texts.get("query", "").strip()
        if not text:
            raise Rejected("Say what to look for: the option `query` is empty.")
        return Search(text, texts.get("repository", ""), texts.get("namespace", ""))
    given = texts.get("task", "").strip()
    if command == "status" and not given:
        return Status(None)
    return Status(_task(given)) if command == "status" else Ended(_task(given))


def _task(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        raise Rejected("That is no task's id. Pick one of those that I propose while you type.") from None
