"""What dispatcher reads from environment and file."""

from dataclasses import dataclass
from pathlib import Path

from shared.settings import env, flag, http_url, secret, text_list


@dataclass(frozen=True, kw_only=True)
class Settings:
    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN")
    sink: str = env("K_SINK", http_url)
    token_secret: str = env("FACTEUR_TOKEN_SECRET", secret)
    callback_url: str = env("FACTEUR_CALLBACK_URL", http_url)
    memory_url: str = env("FACTEUR_MEMORY_URL", http_url)
    jobs_dir: Path = env("FACTEUR_JOBS_DIR", Path)
    runner_command: tuple[str, ...] = env("FACTEUR_RUNNER_COMMAND", text_list)
    disable_dispatcher: bool = env("FACTEUR_DISABLE_DISPATCHER", flag, default=False)
