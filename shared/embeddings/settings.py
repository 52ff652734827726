"""Which embedder to use, read from environment and file by every function that embeds."""

from dataclasses import dataclass

from shared.setting_values import http_url, integer
from shared.settings import env

# How long an API may say nothing.
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class EmbeddingSettings:
    """Without OPENAI_API_KEY the offline, lexical embedder is used; model and dimension are then its own."""

    api_key: str | None = env("OPENAI_API_KEY", default=None)
    base_url: str | None = env("OPENAI_BASE_URL", http_url, default=None)
    model: str = env("OPENAI_EMBEDDING_MODEL", default="text-embedding-3-large")
    dimension: int = env("OPENAI_EMBEDDING_DIMENSION", integer(1, 4000), default=3072)
