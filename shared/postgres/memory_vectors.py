"""The vectors of contents: each content once for each model, whoever has it."""

from collections.abc import Iterable, Sequence

from shared.postgres.database import Cursor
from shared.postgres.half_vector import HalfVector

# A model that refuses a text for ever may think better of it, but never forgets what it has made. Of one that is not
# known any more nothing is kept: its vectors were dropped, and nobody would ever drop these.
_KEEP = """
INSERT INTO codex_kb.codex_task_memory_vectors AS known (model, content_hash, embedding)
SELECT %(model)s::text, %(content_hash)s::bytea, %(vector)s::halfvec
WHERE EXISTS (SELECT FROM codex_kb.memory_models WHERE model = %(model)s::text)
ON CONFLICT (content_hash, model) DO UPDATE SET embedding = EXCLUDED.embedding, made_at = now()
    WHERE known.embedding IS NULL AND EXCLUDED.embedding IS NOT NULL
"""

_NEEDED = """
SELECT DISTINCT content_hash FROM codex_kb.codex_task_memory_index WHERE content_hash = ANY(%(hashes)s::bytea[])
"""
# Its own statement: it sees what the statements before it have deleted.
_DROP = """
DELETE FROM codex_kb.codex_task_memory_vectors AS made
WHERE content_hash = ANY(%(hashes)s::bytea[]) AND NOT EXISTS (SELECT FROM codex_kb.codex_task_memory_index AS memory
    WHERE memory.content_hash = made.content_hash)
"""

# Model, hash of the content, and its vector; None where the model refuses it for ever.
Made = tuple[str, bytes, Sequence[float] | None]


def keep(cursor: Cursor, made: Iterable[Made]) -> None:
    """Keeps vectors of known models that are not there yet, in the same order whoever does it: nobody waits in a ring.

    The caller has `memory_models.hold`.
    """
    rows = [
        {"model": model, "content_hash": content_hash, "vector": None if vector is None else HalfVector(vector)}
        for model, content_hash, vector in sorted(made, key=lambda one: one[:2])
    ]
    if rows:
        cursor.executemany(_KEEP.encode(), rows)


def needed(cursor: Cursor, hashes: Sequence[bytes]) -> set[bytes]:
    """Those contents that a memory has, and will have until the end of the transaction.

    The caller has `memory_models.hold`.
    """
    rows = cursor.execute(_NEEDED.encode(), {"hashes": list(hashes)})
    return {bytes(row["content_hash"]) for row in rows}


def drop_unneeded(cursor: Cursor, hashes: Sequence[bytes]) -> int:
    """Drops the vectors of those contents that no memory has any more, of whatever tenant; how many there were.

    The caller holds `memory_models.alone`: a memory that is just being stored may count on a vector that it saw.
    """
    return cursor.execute(_DROP.encode(), {"hashes": list(hashes)}).rowcount if hashes else 0
