"""What memory-query reads from its environment."""

import re
from dataclasses import dataclass

from shared.domain.token import Caller, parse_callers
from shared.embeddings.settings import EmbeddingSettings
from shared.settings import env, json_value, secret


def _redis_url(raw: str) -> str:
    if not re.fullmatch(r"(?:rediss?|unix)://\S+", raw):
        raise ValueError("must be a URL that starts with redis://, rediss:// or unix://")
    return raw


@dataclass(frozen=True, kw_only=True)
class Settings(EmbeddingSettings):
    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN")
    redis_url: str = env("FACTEUR_REDIS_URL", _redis_url)
    token_secret: str = env("FACTEUR_TOKEN_SECRET", secret)
    api_tokens: tuple[Caller, ...] = env("FACTEUR_API_TOKENS", lambda raw: parse_callers(json_value(raw)))
