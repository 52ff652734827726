"""What discord-interaction reads from environment and file."""

import re
from dataclasses import dataclass

from functions.discord_interaction.roles import RoleMap, parse_role_map
from shared.settings import env, http_url, json_value


def _public_key(raw: str) -> bytes:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", raw):
        raise ValueError("must be the application's public key: 64 hex digits")
    return bytes.fromhex(raw)


@dataclass(frozen=True, kw_only=True)
class Settings:
    sink: str = env("K_SINK", http_url)
    public_key: bytes = env("FACTEUR_DISCORD_PUBLIC_KEY", _public_key)
    role_map: RoleMap = env("FACTEUR_ROLE_MAP", lambda raw: parse_role_map(json_value(raw)), default=RoleMap({}))
