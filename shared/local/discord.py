"""Interactions as Discord sends them, made and signed on this machine."""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PING, COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 1, 2, 3, 4, 5
APPLICATION = "1200000000000000000"
GUILD = "1100000000000000000"
CHANNEL = "1110000000000000000"
# Where a twin's gateway takes what functions write to Discord, and shows it.
API, PAGE = "/discord/api", "/discord"
_EPOCH_MS = 1_420_070_400_000  # where Discord's ids begin to count
_SUB_COMMAND, _STRING = 1, 3
_ROW, _BUTTON, _TEXT_INPUT = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Person:
    """Who does it, and where: without a guild in a direct message, where nobody has roles."""

    user_id: str = "1000000000000000000"
    roles: Sequence[str] = ()
    guild_id: str | None = GUILD
    channel_id: str = CHANNEL
    locale: str = "en-GB"

    def described(self) -> dict[str, Any]:
        user = {"id": self.user_id, "username": f"user-{self.user_id[-4:]}", "global_name": None}
        place = {"channel_id": self.channel_id, "locale": self.locale, "context": 0 if self.guild_id else 1}
        if self.guild_id is None:
            return {**place, "user": user}
        member = {"user": user, "roles": list(self.roles), "permissions": "0"}
        return {**place, "guild_id": self.guild_id, "guild_locale": "en-US", "member": member}


def snowflake(now: float) -> str:
    """A fresh id of the time `now`, in seconds since 1970."""
    return str((int(now * 1000) - _EPOCH_MS << 22) | secrets.randbits(22))


def interaction(kind: int, data: Mapping[str, Any], who: Person, now: float | None = None) -> dict[str, Any]:
    """One interaction with a fresh id and token."""
    return {
        "id": snowflake(time.time() if now is None else now),
        "application_id": APPLICATION,
        "type": kind,
        "token": secrets.token_urlsafe(96),
        "version": 1,
        **({"data": dict(data)} if kind != PING else {}),
        **who.described(),
    }


def command(names: Sequence[str], options: Mapping[str, str], focused: str | None = None) -> dict[str, Any]:
    """The data of a slash command by its names, group first; `focused` is the option that is being completed."""
    given: list[dict[str, Any]] = [
        {"name": name, "type": _STRING, "value": value, **({"focused": True} if name == focused else {})}
        for name, value in options.items()
    ]
    for name in reversed(names[1:]):
        given = [{"name": name, "type": _SUB_COMMAND, "options": given}]
    return {"id": "1", "name": names[0], "type": 1, "options": given}


def click(custom_id: str) -> dict[str, Any]:
    """The data of a click on a button."""
    return {"custom_id": custom_id, "component_type": _BUTTON}


def filled(custom_id: str, values: Mapping[str, str]) -> dict[str, Any]:
    """The data of a modal that was sent."""
    rows = [
        {"type": _ROW, "components": [{"type": _TEXT_INPUT, "custom_id": name, "value": value}]}
        for name, value in values.items()
    ]
    return {"custom_id": custom_id, "components": rows}


def key_pair() -> tuple[str, str]:
    """A fresh Ed25519 pair, hex: the private seed, and the public key that an application would show."""
    from nacl.signing import SigningKey  # late, as below

    key = SigningKey.generate()
    return key.encode().hex(), key.verify_key.encode().hex()


def signed(private_key: str, document: Any, now: float | None = None) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an interaction, signed with the Ed25519 seed `private_key` (hex)."""
    from nacl.signing import SigningKey  # late: a twin that only names the application needs no keys

    body = json.dumps(document).encode()
    timestamp = str(int(time.time() if now is None else now))
    signature = SigningKey(bytes.fromhex(private_key)).sign(timestamp.encode() + body).signature.hex()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Discord-Interactions/1.0 (+https://discord.com)",
        "X-Signature-Ed25519": signature,
        "X-Signature-Timestamp": timestamp,
    }
    return body, headers
