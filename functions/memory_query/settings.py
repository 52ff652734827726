"""What memory-query reads from environment and file."""

from dataclasses import dataclass

from shared.embeddings.settings import EmbeddingSettings
from shared.setting_values import number, redis_url
from shared.settings import env, group
from shared.web.caller_settings import CallerSettings
from shared.web.task_token_settings import TaskTokenSettings


@dataclass(frozen=True, kw_only=True)
class Settings(EmbeddingSettings, TaskTokenSettings):
    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN")
    redis_url: str = env("FACTEUR_REDIS_URL", redis_url)
    holdout_share: float = env("FACTEUR_MEMORY_HOLDOUT_SHARE", number(0, 0.5), default=0.1)
    callers: CallerSettings = group(CallerSettings)
