"""What memory-query reads from its environment."""

from dataclasses import dataclass

from shared.domain.token import Caller, parse_callers
from shared.embeddings.settings import EmbeddingSettings
from shared.settings import env, json_value, secret


@dataclass(frozen=True, kw_only=True)
class Settings(EmbeddingSettings):
    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN")
    redis_url: str = env("FACTEUR_REDIS_URL")
    token_secret: str = env("FACTEUR_TOKEN_SECRET", secret)
    api_tokens: tuple[Caller, ...] = env("FACTEUR_API_TOKENS", lambda raw: parse_callers(json_value(raw)))
