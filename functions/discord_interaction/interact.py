"""The use case: a slash command of someone who may use it becomes a task.requested event."""

import json
import logging
from typing import Any, Protocol

from functions.discord_interaction.interaction import COMMAND, PING, Interaction, Option, pong, private
from functions.discord_interaction.roles import RoleMap
from shared.domain.errors import Rejected, Unavailable
from shared.domain.ids import event_delivery, run_id, stable_id
from shared.events.catalogue import TASK_REQUESTED
from shared.events.event import Event

log = logging.getLogger(__name__)

SOURCE = "/facteur/discord-interaction"
_STAGES = {"plan": "planning", "implement": "implementation", "review": "review"}
_OPTIONS = {"prompt", "repository", "base", "head"}


class Publisher(Protocol):
    """Hands an event to the broker; Unavailable if it did not take it."""

    def publish(self, event: Event) -> None: ...


class Interact:
    """Answers one interaction. Nothing but the broker is asked before the answer."""

    def __init__(self, publisher: Publisher, role_map: RoleMap) -> None:
        self._publisher = publisher
        self._role_map = role_map

    def __call__(self, interaction: Interaction, traceparent: str | None) -> dict[str, Any]:
        if interaction.type == PING:
            return pong()
        chosen = next(iter(interaction.data.options), None)
        if interaction.type != COMMAND or interaction.data.name.lower() != "codex" or not chosen:
            return private("I do not know this command. Try `/codex implement`.")
        if chosen.name.lower() not in _STAGES:
            return private("I do not know this command. Try `/codex plan`, `/codex implement` or `/codex review`.")
        if not self._role_map.allows(chosen.name, interaction.roles):
            return private("Your roles do not allow this command here.")
        return self._request(interaction, chosen, traceparent)

    def _request(self, interaction: Interaction, chosen: Option, traceparent: str | None) -> dict[str, Any]:
        options = {option.name: str(option.value) for option in chosen.options if option.name in _OPTIONS}
        if not options.get("prompt", "").strip():
            return private("Say what the task is to do: the option `prompt` is empty.")
        event = _requested(interaction, _STAGES[chosen.name.lower()], options, traceparent)
        task = run_id(event_delivery(SOURCE, event.id))
        try:
            self._publisher.publish(event)
        except (Unavailable, Rejected) as error:
            log.warning("interaction not queued", extra={"facts": {"why": str(error)}})
            # A broker that is slow to answer may have it all the same.
            return private(f"Task `{task}` may not have been queued: if nobody sees it soon, please try again.")
        return private(f"Task `{task}` is on its way.")


def _requested(interaction: Interaction, stage: str, options: dict[str, str], traceparent: str | None) -> Event:
    metadata = {"caller": f"discord:{interaction.user_id}", "guildId": interaction.guild_id or ""}
    body = {**options, "stage": stage, "metadata": metadata, "tags": ["discord"]}
    return Event(
        # Derived from the interaction: Discord sending it twice is one task.
        id=str(stable_id(TASK_REQUESTED, "discord", interaction.id)),
        source=SOURCE,
        type=TASK_REQUESTED,
        datacontenttype="application/json",
        extensions={"traceparent": traceparent} if traceparent else {},
        data=json.dumps(body).encode(),
    )
