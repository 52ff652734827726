"""What memory-query reads from environment and file."""

import re
from dataclasses import dataclass

from shared.embeddings.settings import EmbeddingSettings
from shared.settings import env, group
from shared.web.caller_settings import CallerSettings
from shared.web.task_token_settings import TaskTokenSettings


def _redis_url(raw: str) -> str:
    if not re.fullmatch(r"(?:rediss?|unix)://\S+", raw):
        raise ValueError("must be a URL that starts with redis://, rediss:// or unix://")
    return raw


@dataclass(frozen=True, kw_only=True)
class Settings(EmbeddingSettings, TaskTokenSettings):
    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN")
    redis_url: str = env("FACTEUR_REDIS_URL", _redis_url)
    callers: CallerSettings = group(CallerSettings)
