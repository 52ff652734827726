"""The part of a Discord interaction that we read, and the answers that we give."""

from typing import Any

import msgspec

PING, COMMAND = 1, 2
_PONG, _MESSAGE = 1, 4
_EPHEMERAL = 64


class User(msgspec.Struct, frozen=True):
    id: str = ""


class Member(msgspec.Struct, frozen=True):
    user: User = User()
    roles: list[str] = []


class Option(msgspec.Struct, frozen=True):
    name: str
    value: str | int | float | bool | None = None
    options: "list[Option]" = []


class Data(msgspec.Struct, frozen=True):
    name: str = ""
    options: list[Option] = []


class Interaction(msgspec.Struct, frozen=True):
    """Discord, "Receiving and Responding: Interaction Object". Unknown fields are left alone."""

    id: str
    type: int
    data: Data = Data()
    guild_id: str | None = None
    member: Member | None = None
    user: User | None = None

    @property
    def user_id(self) -> str:
        """Who did it: the member in a guild, the user in a direct message."""
        return self.member.user.id if self.member else (self.user or User()).id

    @property
    def roles(self) -> list[str]:
        return self.member.roles if self.member else []


def pong() -> dict[str, Any]:
    """The answer to Discord's own probe."""
    return {"type": _PONG}


def private(text: str) -> dict[str, Any]:
    """A message that only the user sees, and that mentions nobody."""
    return {
        "type": _MESSAGE,
        "data": {"content": text, "flags": _EPHEMERAL, "allowed_mentions": {"parse": []}},
    }
