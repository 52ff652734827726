"""What discord-interaction reads from environment and file."""

import re
from dataclasses import dataclass

from functions.discord_interaction.public_key import is_public_key
from functions.discord_interaction.roles import RoleMap, parse_role_map
from functions.discord_interaction.setting_groups import EventCallers
from shared.discord.settings import DiscordSettings
from shared.setting_values import dns_label, http_url, json_value, redis_url, switch
from shared.settings import env, group
from shared.web.task_token_settings import TaskTokenSettings


def _public_key(raw: str) -> bytes:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", raw) or not is_public_key(bytes.fromhex(raw)):
        raise ValueError("must be the application's public key: 64 hex digits, as Discord shows them")
    return bytes.fromhex(raw)


@dataclass(frozen=True, kw_only=True)
class Settings(TaskTokenSettings):
    """Without callers nobody may post commands, unless `events_open`."""

    sink: str = env("K_SINK", http_url)
    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN")
    redis_url: str | None = env("FACTEUR_REDIS_URL", redis_url, default=None)
    public_key: bytes = env("FACTEUR_DISCORD_PUBLIC_KEY", _public_key)
    role_map: RoleMap = env("FACTEUR_ROLE_MAP", lambda raw: parse_role_map(json_value(raw)), default=RoleMap({}))
    discord: DiscordSettings = group(DiscordSettings)
    ephemeral: bool = env("FACTEUR_DISCORD_EPHEMERAL", switch, default=False)
    threads: bool = env("FACTEUR_DISCORD_THREADS", switch, default=False)
    public_url: str = env("FACTEUR_PUBLIC_URL", http_url, default="")
    callers: EventCallers = group(EventCallers)
    events_open: bool = env("FACTEUR_DISCORD_EVENTS_OPEN", switch, default=False)
    jobs_namespace: str = env("FACTEUR_JOBS_NAMESPACE", dns_label, default="codex")
