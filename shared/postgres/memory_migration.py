"""Another model for the vectors, online: what it lacks, how well its vectors are found, and the end of the others."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import psycopg

from shared.domain.errors import InFlight, Unavailable
from shared.postgres import memory_models, memory_vectors
from shared.postgres.database import Cursor, Database

# A number of our own among the advisory locks of the database.
LOCK = 0x6661_6374_6D69_6772
_TAKE = "SELECT pg_try_advisory_lock(%(lock)s)"
_ALIVE = "SELECT true"

_STATES = "SELECT model, state FROM codex_kb.memory_models"
_BEGIN = """
INSERT INTO codex_kb.memory_models AS known (model, state) VALUES (%(model)s, 'filling')
ON CONFLICT (model) DO UPDATE SET state = 'filling', since = now() WHERE known.state = 'retiring'
"""
_GIVE_UP = "UPDATE codex_kb.memory_models SET state = 'retiring', since = now() WHERE state = 'filling'"
_SWITCHED_FOR = """
SELECT extract(epoch FROM now() - since)::float8 AS seconds FROM codex_kb.memory_models WHERE state = 'active'
"""

# A vector is looked up by its content: while a model is filled, statistics may not know that it has any, and all that
# it has would be read for each content. That is what `|| ''` is for.
_HAS_NONE = """NOT EXISTS (SELECT FROM codex_kb.codex_task_memory_vectors AS made
        WHERE made.content_hash = memory.content_hash AND made.model || '' = %(model)s)"""
# Contents are walked in the order of their hashes, so that a batch costs the same at the beginning and at the end.
_MISSING = f"""
SELECT DISTINCT ON (content_hash) content_hash, content FROM codex_kb.codex_task_memory_index AS memory
WHERE content_hash > %(after)s AND {_HAS_NONE}
ORDER BY content_hash LIMIT %(limit)s
"""  # noqa: S608  # the only thing put in is the constant above
_MISSING_SIZE = f"""
SELECT count(*) AS texts, coalesce(sum(bytes), 0)::int8 AS bytes FROM (
    SELECT content_hash, min(octet_length(content)) AS bytes FROM codex_kb.codex_task_memory_index AS memory
    WHERE {_HAS_NONE} GROUP BY content_hash
) AS missing
"""  # noqa: S608  # the only thing put in is the constant above

# The rows are chosen before a single vector is read.
_SAMPLE = """
WITH chosen AS MATERIALIZED (
    SELECT content_hash, tenant, task_id FROM codex_kb.codex_task_memory_index
    JOIN codex_kb.codex_task_memory_vectors USING (content_hash)
    WHERE model = %(model)s AND embedding IS NOT NULL ORDER BY random() LIMIT %(limit)s
)
SELECT content_hash, tenant, task_id, embedding::vector::real[] AS vector
FROM chosen JOIN codex_kb.codex_task_memory_vectors USING (content_hash) WHERE model = %(model)s
"""

# All vectors are read once for all questions, and of each question only what is as near as the last of its ten that
# were found. halfvec() reads a vector that stands out of line, so that each comparison need not. OFFSET 0 keeps the
# order of the joins, whatever old statistics say.
_RECALL = """
WITH asked AS MATERIALIZED (
    SELECT number, content_hash, tenant, task, vector
    FROM unnest(%(hashes)s::bytea[], %(tenants)s::text[], %(tasks)s::uuid[]) WITH ORDINALITY
        AS given (content_hash, tenant, task, number)
    CROSS JOIN LATERAL (
        SELECT embedding AS vector FROM codex_kb.codex_task_memory_vectors AS made
        WHERE made.content_hash = given.content_hash AND made.model = %(model)s OFFSET 0
    ) AS made
), found AS MATERIALIZED (
    SELECT DISTINCT asked.number, memory.content_hash, made.embedding <=> asked.vector AS distance
    FROM unnest(%(numbers)s::int8[], %(ids)s::uuid[]) AS given (number, id) JOIN asked USING (number)
    CROSS JOIN LATERAL (
        SELECT content_hash FROM codex_kb.codex_task_memory_index WHERE id = given.id OFFSET 0
    ) AS memory
    CROSS JOIN LATERAL (
        SELECT embedding FROM codex_kb.codex_task_memory_vectors AS made
        WHERE made.content_hash = memory.content_hash AND made.model = %(model)s AND embedding IS NOT NULL OFFSET 0
    ) AS made
    WHERE memory.content_hash <> asked.content_hash
), bounded AS MATERIALIZED (
    SELECT asked.*, coalesce((SELECT distance FROM found WHERE found.number = asked.number
        ORDER BY distance OFFSET %(limit)s - 1 LIMIT 1), 'infinity') AS bound
    FROM asked
), every AS (
    SELECT content_hash, halfvec(embedding, %(dimension)s, false) AS vector
    FROM codex_kb.codex_task_memory_vectors WHERE model = %(model)s AND embedding IS NOT NULL OFFSET 0
), near AS (
    SELECT number, distance, row_number() OVER (PARTITION BY number ORDER BY distance) AS place
    FROM every CROSS JOIN LATERAL (
        SELECT number, tenant, task, every.vector <=> bounded.vector AS distance FROM bounded
        WHERE every.vector <=> bounded.vector <= bound AND every.content_hash <> bounded.content_hash OFFSET 0
    ) AS compared CROSS JOIN LATERAL (
        SELECT FROM codex_kb.codex_task_memory_index AS memory WHERE memory.content_hash = every.content_hash
            AND memory.tenant = compared.tenant AND memory.task_id <> compared.task LIMIT 1
    ) AS theirs
), wanted AS (
    SELECT number, count(*) AS wanted, max(distance) AS last FROM near WHERE place <= %(limit)s GROUP BY number
)
SELECT least(wanted, (SELECT count(*) FROM found WHERE found.number = wanted.number AND distance <= last))::float8
    / wanted AS recall
FROM wanted
"""

_RETIRED = """
SELECT model FROM codex_kb.memory_models WHERE state = 'retiring'
UNION
SELECT DISTINCT model FROM codex_kb.codex_task_memory_vectors
WHERE model NOT IN (SELECT model FROM codex_kb.memory_models WHERE state <> 'retiring')
"""
_STATISTICS = "ANALYZE codex_kb.codex_task_memory_vectors"
_DROP = """
DELETE FROM codex_kb.codex_task_memory_vectors WHERE model = %(model)s AND ctid = ANY(ARRAY(
    SELECT ctid FROM codex_kb.codex_task_memory_vectors WHERE model = %(model)s LIMIT %(limit)s
))
"""
_FORGET = "DELETE FROM codex_kb.memory_models WHERE model = %(model)s AND state = 'retiring'"


@dataclass(frozen=True, slots=True)
class Sampled:
    """A stored content as a question: its vector, and whose it is."""

    content_hash: bytes
    tenant: str
    task_id: UUID
    vector: Sequence[float]


class Held(Protocol):
    """The lock of the migration."""

    def check(self) -> None:
        """Unavailable if its connection was lost, and with it the lock."""


class _Held:
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def check(self) -> None:
        try:
            self._connection.execute(_ALIVE)
        except psycopg.OperationalError:
            raise Unavailable("the connection to the database was lost") from None


@contextmanager
def alone(dsn: str) -> Iterator[Held]:
    """One migration at a time, until the end or the death of this process; InFlight for a second one."""
    try:
        connection = psycopg.connect(dsn, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError:
        raise Unavailable("the database is away: try again") from None
    with connection:
        if connection.execute(_TAKE, {"lock": LOCK}).fetchone() != (True,):
            raise InFlight("another migration is running")
        yield _Held(connection)


class PgMigration:
    """Models in `memory_models`, their vectors in `codex_task_memory_vectors`; a model is `name:3072`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def states(self) -> dict[str, str]:
        """The state of each model that is known: active, filling or retiring."""
        return {row["model"]: row["state"] for row in self._database.all(_STATES, {})}

    def begin(self, model: str) -> None:
        """The model is being filled; one at a time is."""
        self._database.do(_BEGIN, {"model": model})

    def give_up(self) -> bool:
        """The model that is being filled shall not be in use after all; False if there is none."""
        return self._database.do(_GIVE_UP, {}) == 1

    def switched_for(self) -> float:
        """The seconds for which the model in use has been."""
        row = self._database.one(_SWITCHED_FOR, {})
        return float(row["seconds"]) if row else 0.0

    def missing_size(self, model: str) -> tuple[int, int]:
        """How many contents have no vector of the model, and their bytes together."""
        (row,) = self._database.all(_MISSING_SIZE, {"model": model})
        return row["texts"], row["bytes"]

    def missing(self, model: str, after: bytes, limit: int) -> list[tuple[bytes, str]]:
        """Hash and text of contents without a vector of the model, in the order of hashes, from `after` on."""
        rows = self._database.all(_MISSING, {"model": model, "after": after, "limit": limit})
        return [(bytes(row["content_hash"]), row["content"]) for row in rows]

    def keep(self, made: Sequence[memory_vectors.Made]) -> None:
        """Keeps vectors that are not there yet; None is that of a content that the model refuses for ever.

        Those of contents that were forgotten meanwhile, and of models that are not known, are not kept.
        """

        def work(cursor: Cursor) -> None:
            memory_models.hold(cursor)
            needed = memory_vectors.needed(cursor, [content_hash for _, content_hash, _ in made])
            memory_vectors.keep(cursor, [one for one in made if one[1] in needed])

        self._database.transaction(work)

    def count_anew(self) -> None:
        """PostgreSQL plans with how many vectors there are now, and not before a model was filled."""
        self._database.do(_STATISTICS, {})

    def sample(self, model: str, limit: int) -> list[Sampled]:
        """Contents with a vector of the model, by chance."""
        return [Sampled(**row) for row in self._database.all(_SAMPLE, {"model": model, "limit": limit})]

    def recalls(self, model: str, asked: Sequence[Sampled], found: Sequence[Sequence[UUID]], limit: int) -> list[float]:
        """The share of the `limit` nearest contents of each question that is among the memories found for it.

        Exact, by cosine; what is of the question's own task, and the content itself, counts for nothing. A question
        that has nothing to find is left out.
        """
        parameters: dict[str, Any] = {
            "model": model,
            "dimension": int(model.rpartition(":")[2]),
            "hashes": [one.content_hash for one in asked],
            "tenants": [one.tenant for one in asked],
            "tasks": [one.task_id for one in asked],
            "numbers": [number for number, ids in enumerate(found, 1) for _ in ids],
            "ids": [id_ for ids in found for id_ in ids],
            "limit": limit,
        }
        return [row["recall"] for row in self._database.all(_RECALL, parameters)]

    def retired(self) -> list[str]:
        """The models that are not in use, nor shall be."""
        return [row["model"] for row in self._database.all(_RETIRED, {})]

    def drop(self, model: str, limit: int) -> int:
        """How many vectors of the model are gone now, at most `limit`; 0 once there are none."""
        return self._database.do(_DROP, {"model": model, "limit": limit})

    def forget(self, model: str) -> None:
        """A model that retired is not known any more: from now on nobody keeps what it makes. InFlight after 2 s."""

        def work(cursor: Cursor) -> None:
            memory_models.alone(cursor)
            cursor.execute(_FORGET.encode(), {"model": model})

        self._database.transaction(work)
