"""What callback reads from environment and file."""

from dataclasses import dataclass
from pathlib import Path

from shared.settings import env, http_url, secret


@dataclass(frozen=True, kw_only=True)
class Settings:
    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN")
    sink: str = env("K_SINK", http_url)
    token_secret: str = env("FACTEUR_TOKEN_SECRET", secret)
    callback_url: str = env("FACTEUR_CALLBACK_URL", http_url)
    artifacts_dir: Path = env("FACTEUR_ARTIFACTS_DIR", Path)
