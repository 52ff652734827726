"""What people are shown of models: how much each has done, and its index."""

from dataclasses import dataclass
from datetime import datetime

from shared.postgres.database import Database
from shared.postgres.memory_indexes import index_name

# Vectors of contents that are gone count for nothing.
_MODELS = """
WITH contents AS MATERIALIZED (SELECT DISTINCT content_hash FROM codex_kb.codex_task_memory_index), made AS (
    SELECT model, count(embedding) AS made, count(*) AS answered
    FROM codex_kb.codex_task_memory_vectors JOIN contents USING (content_hash) GROUP BY model
)
SELECT model, state, since, coalesce(made, 0) AS made, coalesce(answered - made, 0) AS refused,
    (SELECT count(*) FROM contents) - coalesce(answered, 0) AS missing
FROM codex_kb.memory_models FULL JOIN made USING (model)
ORDER BY array_position(ARRAY['active', 'filling', 'retiring'], state), model
"""
_INDEX = """
SELECT indisvalid AS valid, pg_relation_size(indexrelid) AS bytes FROM pg_index
WHERE indexrelid = to_regclass(%(name)s)
"""
_BUILDING = """
SELECT coalesce(blocks_done::float8 / nullif(blocks_total, 0), 0) AS done, phase FROM pg_stat_progress_create_index
WHERE relid = to_regclass('codex_kb.codex_task_memory_vectors')
"""


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model, and of how many contents it has made vectors, which it refuses, and which it was not asked for.

    State and time are None for a model that only has vectors.
    """

    model: str
    state: str | None
    since: datetime | None
    made: int
    refused: int
    missing: int


@dataclass(frozen=True, slots=True)
class IndexView:
    """The index of a model's vectors, of `bytes`; not valid if it is being made, or was left half made."""

    valid: bool
    bytes: int


class PgModelViews:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def models(self) -> list[ModelView]:
        """Every model that is known or has vectors, the one in use first."""
        return [ModelView(**row) for row in self._database.all(_MODELS, {})]

    def index(self, model: str) -> IndexView | None:
        """The index of the model, None if there is none."""
        row = self._database.one(_INDEX, {"name": f"codex_kb.{index_name(model)}"})
        return IndexView(**row) if row else None

    def building(self) -> tuple[float, str]:
        """How much of an index that is being made is done, from 0 to 1, and what PostgreSQL is doing, in its words."""
        row = self._database.one(_BUILDING, {})
        return (row["done"], row["phase"]) if row else (0.0, "")
