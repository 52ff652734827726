"""A task as it is asked for by an event: the same interaction is the same task, in any process and by any way."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from shared.domain.errors import Rejected
from shared.domain.ids import event_delivery, run_id, stable_id
from shared.domain.task import MAX_PROMPT_CHARACTERS
from shared.events.catalogue import TASK_REQUESTED
from shared.events.event import Event

SOURCE = "/facteur/discord-interaction"
_MAX_NAME = 253


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants done. `options` are prompt, repository, base and head, as far as they were given."""

    interaction_id: str
    user_id: str
    guild_id: str
    stage: str
    options: Mapping[str, str]
    more: Mapping[str, Any] = field(default_factory=dict)


def requested(asked: Asked, traceparent: str | None) -> tuple[UUID, Event]:
    """The task's id, and the event that asks for it; Rejected for what intake would refuse."""
    if not asked.options.get("prompt", "").strip():
        raise Rejected("Say what the task is to do: the option `prompt` is empty.")
    if len(asked.options["prompt"]) > MAX_PROMPT_CHARACTERS:
        raise Rejected(f"The prompt is longer than {MAX_PROMPT_CHARACTERS} characters.")
    options = {name: text for name, text in asked.options.items() if text or name == "prompt"}
    if any(len(text) > _MAX_NAME for name, text in options.items() if name != "prompt"):
        raise Rejected(f"An option is longer than {_MAX_NAME} characters.")
    metadata = {"caller": f"discord:{asked.user_id}", "guildId": asked.guild_id}
    body = {**options, "stage": asked.stage, "metadata": metadata, "tags": ["discord"], **asked.more}
    event = Event(
        # Derived from the interaction: Discord sending it twice is one task.
        id=str(stable_id(TASK_REQUESTED, "discord", asked.interaction_id)),
        source=SOURCE,
        type=TASK_REQUESTED,
        datacontenttype="application/json",
        extensions={"traceparent": traceparent} if traceparent else {},
        data=json.dumps(body).encode(),
    )
    return run_id(event_delivery(SOURCE, event.id)), event
