"""What codex-intake reads from its environment."""

from dataclasses import dataclass

from shared.domain.token import Caller, parse_callers
from shared.settings import env, http_url, json_value, secret


@dataclass(frozen=True, kw_only=True)
class Settings:
    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN")
    sink: str = env("K_SINK", http_url)
    token_secret: str = env("FACTEUR_TOKEN_SECRET", secret)
    api_tokens: tuple[Caller, ...] = env("FACTEUR_API_TOKENS", lambda raw: parse_callers(json_value(raw)))
    callback_url: str = env("FACTEUR_CALLBACK_URL", http_url)
    memory_url: str = env("FACTEUR_MEMORY_URL", http_url)
