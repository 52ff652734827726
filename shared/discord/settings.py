"""How Discord is reached, read from environment and file by whoever writes to it."""

import re
from dataclasses import dataclass

from shared.setting_values import tls_url
from shared.settings import env


def _snowflake(raw: str) -> str:
    if not re.fullmatch(r"[0-9]{17,20}", raw):
        raise ValueError("must be an id of Discord: 17 to 20 digits")
    return raw


def _bot_token(raw: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{20,200}", raw):
        raise ValueError("must be the bot's token as Discord shows it, without the word Bot before it")
    return raw


@dataclass(frozen=True, kw_only=True)
class DiscordSettings:
    """Without a bot token messages are edited for 15 minutes only. `guild_id`: the guild that commands are for."""

    api_url: str = env("FACTEUR_DISCORD_API_URL", tls_url, default="https://discord.com/api/v10")
    application_id: str = env("FACTEUR_DISCORD_APPLICATION_ID", _snowflake)
    bot_token: str | None = env("FACTEUR_DISCORD_BOT_TOKEN", _bot_token, default=None)
    guild_id: str | None = env("FACTEUR_DISCORD_GUILD_ID", _snowflake, default=None)
