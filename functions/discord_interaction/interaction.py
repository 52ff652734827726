"""The part of a Discord interaction that we read ("Receiving and Responding: Interaction Object")."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec

PING, COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 1, 2, 3, 4, 5

Id = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,20}$")]


class User(msgspec.Struct, frozen=True):
    id: str = ""


class Member(msgspec.Struct, frozen=True):
    user: User = User()
    roles: list[str] = []


class Option(msgspec.Struct, frozen=True):
    name: str
    value: str | int | float | bool | None = None
    options: "list[Option]" = []
    focused: bool = False


class Component(msgspec.Struct, frozen=True):
    """What a modal was filled with: a text input, or what holds some."""

    custom_id: str = ""
    value: str = ""
    components: "list[Component]" = []
    component: "Component | None" = None


class Data(msgspec.Struct, frozen=True):
    id: str = ""
    name: str = ""
    options: list[Option] = []
    custom_id: str = ""
    components: list[Component] = []


class Interaction(msgspec.Struct, frozen=True):
    """Unknown fields are left alone."""

    id: Id
    type: int
    application_id: str = ""
    token: str = ""
    data: Data = Data()
    guild_id: str | None = None
    channel_id: str | None = None
    member: Member | None = None
    user: User | None = None

    @property
    def user_id(self) -> str:
        """Who did it: the member in a guild, the user in a direct message."""
        return self.member.user.id if self.member else (self.user or User()).id

    @property
    def roles(self) -> list[str]:
        return self.member.roles if self.member else []

    @property
    def fields(self) -> dict[str, str]:
        """What the inputs of a modal were filled with, by their ids."""
        found: dict[str, str] = {}
        left = list(self.data.components)
        while left:
            part = left.pop()
            left += [*part.components, *([part.component] if part.component else [])]
            if part.custom_id and not part.components:
                found[part.custom_id] = part.value
        return found


def made_at(interaction_id: str, now: float) -> datetime:
    """When Discord made the interaction, by its id; never later than `now` (seconds since 1970)."""
    # Its upper bits are the milliseconds since the beginning of 2015.
    return datetime.fromtimestamp(min(((int(interaction_id) >> 22) + 1_420_070_400_000) / 1000, now), UTC)
