"""What `facteur memory` reads from environment and file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from shared.cli.config import environment
from shared.cli.database import UNSET
from shared.cli.terminal import refuse
from shared.embeddings.settings import EmbeddingSettings
from shared.setting_values import redis_url
from shared.settings import SettingsError, env, load

Dsn = Annotated[str, typer.Option(help="The database; else the one that FACTEUR_POSTGRES_DSN names.")]


@dataclass(frozen=True, kw_only=True)
class MemorySettings(EmbeddingSettings):
    """As the embedder has them; the database may be given with --dsn."""

    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN", default="")
    redis_url: str | None = env("FACTEUR_REDIS_URL", redis_url, default=None)


def settings(dsn: str, file: Path | None) -> tuple[MemorySettings, str]:
    """The settings, and the connection string; a sentence and exit code 2 for each mistake."""
    try:
        found = load(MemorySettings, environment(file))
    except SettingsError as error:
        refuse(str(error))
    if not (dsn or found.postgres_dsn):
        refuse(UNSET)
    return found, dsn or found.postgres_dsn
