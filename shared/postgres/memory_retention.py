"""What goes by itself: memories of an age, vectors that nobody needs, and prompt files that are to be purged."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from shared.domain.forgetting import without_memories
from shared.postgres import memory_models, memory_vectors
from shared.postgres.database import Cursor, Database

# The kinds there are, each found by one look at the index; then the oldest of each, and of these the texts.
_OLD = """
WITH RECURSIVE kinds AS (
    (SELECT kind FROM codex_kb.codex_task_memory_index ORDER BY kind LIMIT 1)
    UNION ALL
    SELECT (SELECT memory.kind FROM codex_kb.codex_task_memory_index AS memory WHERE memory.kind > kinds.kind
        ORDER BY memory.kind LIMIT 1)
    FROM kinds WHERE kinds.kind IS NOT NULL
), kept AS (
    SELECT kind, coalesce(%(days)s::jsonb->>kind, %(days)s::jsonb->>'*')::int AS days FROM kinds
), old AS (
    SELECT memory.* FROM kept CROSS JOIN LATERAL (
        SELECT task_id, memory.kind, source_ref FROM codex_kb.codex_task_memory_index AS memory
        WHERE memory.kind = kept.kind AND created_at < now() - kept.days * interval '1 day'
        ORDER BY created_at LIMIT %(limit)s
    ) AS memory WHERE days IS NOT NULL LIMIT %(limit)s
)
SELECT DISTINCT task_id, kind, source_ref FROM old
"""

_FORGET = """
WITH old AS MATERIALIZED (
    SELECT * FROM unnest(%(tasks)s::uuid[], %(kinds)s::text[], %(sources)s::text[]) AS old (task_id, kind, source_ref)
), buried AS (
    INSERT INTO codex_kb.memory_tombstones (task_id, kind, source_ref)
    SELECT task_id, kind, source_ref FROM old ORDER BY task_id, kind, source_ref ON CONFLICT DO NOTHING
)
DELETE FROM codex_kb.codex_task_memory_index AS memory USING old
WHERE (memory.task_id, memory.kind, memory.source_ref) = (old.task_id, old.kind, old.source_ref)
RETURNING content_hash
"""

# From one place on, and at the end from the beginning; OFFSET 0 keeps the question to one content at a time.
_UNNEEDED = """
WITH looked AS (
    (SELECT content_hash FROM codex_kb.codex_task_memory_vectors WHERE content_hash >= %(start)s
     ORDER BY content_hash LIMIT %(limit)s)
    UNION ALL
    (SELECT content_hash FROM codex_kb.codex_task_memory_vectors WHERE content_hash < %(start)s
     ORDER BY content_hash LIMIT %(limit)s)
    LIMIT %(limit)s
)
SELECT DISTINCT content_hash FROM looked WHERE NOT EXISTS (SELECT FROM codex_kb.codex_task_memory_index AS memory
    WHERE memory.content_hash = looked.content_hash OFFSET 0)
"""

# Those of runs that are over: who takes a launch over hands out what is there.
_DUE = """
SELECT brief.task_id, brief.attempt, brief.prompt
FROM codex_kb.codex_task_briefs AS brief JOIN codex_kb.codex_tasks AS task ON task.id = brief.task_id
WHERE brief.purge AND (task.finished_at IS NOT NULL OR task.attempt > brief.attempt)
LIMIT %(limit)s FOR UPDATE OF brief SKIP LOCKED
"""
_PURGED = """
UPDATE codex_kb.codex_task_briefs SET prompt = %(prompt)s, purge = false
WHERE task_id = %(task_id)s AND attempt = %(attempt)s
"""


class PgMemoryRetention:
    """One batch at a time, each one transaction. Any number of processes may do so at the same moment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def forget_old(self, days: Mapping[str, int], limit: int) -> int:
        """Forgets texts that are older than their kind is kept, `*` for kinds that are not named; how many pieces.

        They are not remembered again. At most the texts of `limit` pieces; what is not kept for a number of days is
        kept for ever.
        """
        texts = self._database.all(_OLD, {"days": Jsonb(days), "limit": limit})
        if not texts:
            return 0
        columns = {"tasks": "task_id", "kinds": "kind", "sources": "source_ref"}
        parameters = {name: [row[column] for row in texts] for name, column in columns.items()}

        def work(cursor: Cursor) -> int:
            memory_models.alone(cursor)
            gone = [row["content_hash"] for row in cursor.execute(_FORGET.encode(), parameters)]
            memory_vectors.drop_unneeded(cursor, list(set(gone)))
            return len(gone)

        return self._database.transaction(work)

    def drop_unneeded(self, start: bytes, limit: int) -> int:
        """Drops those of `limit` vectors, from a place in their order on, whose content no memory has; how many."""
        found = self._database.all(_UNNEEDED, {"start": start, "limit": limit})
        hashes = [row["content_hash"] for row in found]
        return self._database.transaction(lambda cursor: _drop(cursor, hashes)) if hashes else 0

    def purge(self, limit: int) -> int:
        """Takes the memories out of prompt files that are due to be purged and whose run is over; how many."""

        def work(cursor: Cursor) -> int:
            due: list[dict[str, Any]] = cursor.execute(_DUE.encode(), {"limit": limit}).fetchall()
            if due:
                cursor.executemany(_PURGED.encode(), [row | {"prompt": without_memories(row["prompt"])} for row in due])
            return len(due)

        return self._database.transaction(work)


def _drop(cursor: Cursor, hashes: Sequence[bytes]) -> int:
    memory_models.alone(cursor)
    return memory_vectors.drop_unneeded(cursor, hashes)
