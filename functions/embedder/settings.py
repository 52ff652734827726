"""What embedder reads from environment and file."""

from dataclasses import dataclass

from shared.embeddings.settings import EmbeddingSettings
from shared.settings import env, http_url, redis_url


@dataclass(frozen=True, kw_only=True)
class Settings(EmbeddingSettings):
    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN")
    redis_url: str | None = env("FACTEUR_REDIS_URL", redis_url, default=None)
    sink: str = env("K_SINK", http_url)
