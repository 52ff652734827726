"""What embedder reads from environment and file."""

import re
from dataclasses import dataclass

from shared.domain.forgetting import KINDS
from shared.embeddings.settings import EmbeddingSettings
from shared.setting_values import http_url, json_value, redis_url
from shared.settings import env


def days_by_kind(raw: str) -> tuple[tuple[str, int], ...]:
    """A parser for how long each kind of memory is kept, as pairs. In a file numbers are text."""
    value = json_value(raw)
    if not isinstance(value, dict) or not value.keys() <= {*KINDS, "*"}:
        raise ValueError(f'must be a JSON object from {", ".join(sorted(KINDS))} or "*" to days')
    # bool is int, and no number of days.
    days = {kind: str(number) for kind, number in value.items() if not isinstance(number, bool)}
    if days.keys() != value.keys() or not all(re.fullmatch("[1-9][0-9]{0,4}", number) for number in days.values()):
        raise ValueError('must have whole numbers of days from 1 to 99999, like {"events": 30, "*": 365}')
    return tuple((kind, int(number)) for kind, number in days.items())


@dataclass(frozen=True, kw_only=True)
class Settings(EmbeddingSettings):
    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN")
    redis_url: str | None = env("FACTEUR_REDIS_URL", redis_url, default=None)
    sink: str = env("K_SINK", http_url)
    retention: tuple[tuple[str, int], ...] = env("FACTEUR_MEMORY_RETENTION", days_by_kind, default=())
