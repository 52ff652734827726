"""Which Discord roles may use which command."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_COMMAND = re.compile(r"[a-z0-9:_-]+")
_ROLE = re.compile(r"[0-9]{17,20}")


@dataclass(frozen=True, slots=True)
class RoleMap:
    """From a command's name to the ids of the roles that may use it; a command not named is for everyone.

    `codex:plan` says the same as `plan`, and `codex` is all commands; where several are named, each must allow it.
    """

    roles: Mapping[str, frozenset[str]]

    def allows(self, command: str, held: Sequence[str]) -> bool:
        """Whether someone who holds these roles may use the command. In direct messages nobody holds any."""
        return all(not wanted.isdisjoint(held) for wanted in self._wanted(command))

    def names(self, command: str) -> bool:
        """Whether the map says at all who may use the command."""
        return bool(self._wanted(command))

    def _wanted(self, command: str) -> list[frozenset[str]]:
        known = command.lower()
        return [self.roles[name] for name in ("codex", f"codex:{known}", known) if name in self.roles]


def parse_role_map(entries: object) -> RoleMap:
    """A role map from `{command: [role id, …]}`, as `schemas/facteur-discord-role-map.schema.json` has it.

    ValueError says what is wrong with it.
    """
    if not isinstance(entries, dict):
        raise ValueError("must be a JSON object from command to a list of role ids")
    roles: dict[str, frozenset[str]] = {}
    for command, ids in entries.items():
        if not _COMMAND.fullmatch(command):
            raise ValueError("has a command with other characters than a-z, 0-9, ':', '_' and '-'")
        if not isinstance(ids, list) or not ids or len(set(map(str, ids))) != len(ids):
            raise ValueError("has a command whose roles are not a list of different role ids")
        if not all(isinstance(role, str) and _ROLE.fullmatch(role) for role in ids):
            raise ValueError("has a role id that is not a string of 17 to 20 digits")
        roles[command] = frozenset(ids)
    return RoleMap(roles)
