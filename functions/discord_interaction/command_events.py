"""Commands that somebody else received from Discord, as `CommandEvent` protobufs."""

import json
import re
from collections.abc import Mapping
from typing import Any

from functions.discord_interaction.commands import COMMANDS_OF_STAGES, STAGES
from functions.discord_interaction.interaction import made_at
from functions.discord_interaction.requests import Asked
from functions.discord_interaction.roles import RoleMap
from shared.domain.card import Opened
from shared.domain.errors import Forbidden, Malformed, Rejected
from shared.events.protobuf.proompteng.facteur.v1.contract_pb2 import CommandEvent

_MAX_ISSUE = 2**53
_EPHEMERAL = 64
_ID = re.compile(r"[0-9]{1,20}")
# What no database takes, and no JSON of others: U+0000 and halves of characters.
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def command(event: CommandEvent) -> str:
    """The command's name; Malformed, in the words of the earlier system, without one."""
    name = event.command.strip().lower()
    if not name:
        raise Malformed("missing command")
    if name not in STAGES:
        raise Rejected("unknown command: plan, implement and review are known")
    return name


def asked(event: CommandEvent, role_map: RoleMap) -> Asked:
    """What somebody wants done; Forbidden if their roles do not allow it. Options that nobody declared are left out."""
    name = command(event)
    _require_ids(event)
    payload = _payload(event.options.get("payload", ""))
    said = payload.get("stage")
    stage = said if isinstance(said, str) and said in COMMANDS_OF_STAGES else STAGES[name]
    # What is launched is what has to be allowed, whatever the command was called.
    for needed in {name, COMMANDS_OF_STAGES[stage]}:
        if not role_map.allows(needed, event.member.roles):
            raise Forbidden("the user's roles do not allow this command")
    return Asked(
        interaction_id=event.interaction_id,
        user_id=event.user.id or event.member.id,
        guild_id=event.guild_id,
        stage=stage,
        options=_options(event.options, payload),
        more=_issue(payload),
    )


def opened(event: CommandEvent, now: float) -> Opened:
    """The interaction of an event that was found sound."""
    return Opened(
        application_id=event.application_id,
        token=event.token,
        channel_id=event.channel_id,
        guild_id=event.guild_id or None,
        user_id=event.user.id or event.member.id,
        ephemeral=bool(event.response.flags & _EPHEMERAL),
        created_at=made_at(event.interaction_id, now),
    )


def _require_ids(event: CommandEvent) -> None:
    """Rejected if what should be an id of Discord is none; all but the interaction's may be missing."""
    if not event.interaction_id:
        raise Rejected("missing interaction_id")
    places = (event.application_id, event.guild_id, event.channel_id)
    if not all(map(_ID.fullmatch, filter(None, (event.interaction_id, *places, event.user.id, event.member.id)))):
        raise Rejected("an id of the command is no id of Discord")


def _payload(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise Rejected("the option payload is not JSON") from None
    if not isinstance(found, dict):
        raise Rejected("the option payload is not a JSON object")
    return found


def _options(given: Mapping[str, str], payload: Mapping[str, Any]) -> dict[str, str]:
    options = {}
    for name in ("prompt", "repository", "base", "head"):
        said = payload.get(name) or given.get(name) or (given.get("content") if name == "prompt" else "") or ""
        if not isinstance(said, str) or _UNSTORABLE.search(said):
            raise Rejected(f"the option {name} is not a text that can be stored")
        options[name] = said
    return options


def _issue(payload: Mapping[str, Any]) -> dict[str, Any]:
    said = payload.get("issueNumber")
    number = str(said) if isinstance(said, int | str) else ""
    known = number.isascii() and number.isdigit() and len(number) <= 16 and 0 < int(number) <= _MAX_ISSUE
    return {"issueNumber": int(number)} if known else {}
