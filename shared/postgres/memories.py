"""The memory index: what tasks leave behind."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shared.domain.errors import Rejected
from shared.domain.memory_index import MemoryRow, Text
from shared.domain.task_token import GRACE_SECONDS
from shared.events.event import Event
from shared.postgres import inbox, memory_models, memory_vectors, outbox, runs
from shared.postgres.database import Cursor, Database
from shared.postgres.memory_sources import PLAIN_SOURCES, SOURCES

# It has no row, and was not forgotten.
_UNKNOWN = """NOT EXISTS (SELECT FROM codex_kb.codex_task_memory_index AS known
        WHERE known.task_id = sources.task_id AND known.kind = sources.kind
            AND known.source_ref = sources.source_ref AND known.chunk = 0)
    AND NOT EXISTS (SELECT FROM codex_kb.memory_tombstones AS forgotten
        WHERE forgotten.task_id = sources.task_id AND forgotten.kind IN ('', sources.kind)
            AND forgotten.source_ref IN ('', sources.source_ref))"""

# Or it has a row that waits. What the model in use refuses does not wait.
_UNEMBEDDED = f"""({_UNKNOWN} OR EXISTS (SELECT FROM codex_kb.codex_task_memory_index AS pending
        WHERE pending.task_id = sources.task_id AND pending.kind = sources.kind
            AND pending.source_ref = sources.source_ref AND pending.waits))"""

_ANYTHING = "btrim(sources.text, E' \\t\\r\\n') <> ''"

# At most so many bytes together, but one text at least.
_MISSING = f"""
WITH sources AS ({SOURCES}), chosen AS (
    SELECT sources.*, task.created_at, task.tenant, task.repository, task.tags, task.targets,
        sum(octet_length(sources.text)) OVER (ORDER BY task.created_at, task.id, sources.kind, sources.source_ref)
            - octet_length(sources.text) AS before
    FROM sources JOIN codex_kb.codex_tasks AS task ON task.id = sources.task_id
    WHERE sources.task_id = ANY(%(tasks)s::uuid[]) AND {_ANYTHING} AND {_UNEMBEDDED}
)
SELECT task_id, kind, source_ref, text, tenant, repository, tags, trust, attempt,
    ARRAY(SELECT DISTINCT target->>'namespace' FROM jsonb_array_elements(targets) AS target) AS namespaces,
    ARRAY(SELECT DISTINCT target->>'kind' FROM jsonb_array_elements(targets) AS target) AS resource_kinds
FROM chosen WHERE before < %(bytes)s
ORDER BY created_at, task_id, kind, source_ref LIMIT %(limit)s
"""  # noqa: S608  # the only things put in are the constants above

# The large texts of what is done already are not read; nor are events: the outcome, which comes after them in
# `_MISSING`, says whether they were seen to. OFFSET 0 keeps the question to one task at a time.
_WAITING = f"""
WITH sources AS ({PLAIN_SOURCES})
SELECT id FROM codex_kb.codex_tasks WHERE id IN (
    SELECT task_id FROM codex_kb.codex_task_memory_index WHERE waits
    UNION
    SELECT id FROM codex_kb.codex_tasks AS task
    WHERE updated_at > now() - interval '1 day' AND EXISTS (SELECT FROM sources
        WHERE sources.task_id = task.id AND CASE WHEN {_UNKNOWN} THEN {_ANYTHING} END OFFSET 0)
)
ORDER BY created_at LIMIT %(limit)s
"""  # noqa: S608  # the only things put in are the constants above

_KNOWN = """
SELECT content_hash FROM codex_kb.codex_task_memory_vectors
WHERE content_hash = ANY(%(hashes)s::bytea[]) AND model = %(model)s
"""

_VECTOR = """
SELECT embedding::vector::real[] AS vector FROM codex_kb.codex_task_memory_vectors
WHERE content_hash = %(hash)s AND model = %(model)s
"""

_FORGOTTEN = """
SELECT task_id, kind, source_ref FROM codex_kb.memory_tombstones WHERE task_id = ANY(%(tasks)s::uuid[])
"""

_STORE = """
INSERT INTO codex_kb.codex_task_memory_index AS known (id, task_id, kind, source_ref, chunk, tenant, content,
    content_hash, waits, repository, namespaces, resource_kinds, tags, trust, attempt)
VALUES (%(id)s, %(task_id)s, %(kind)s, %(source_ref)s, %(chunk)s, %(tenant)s, %(content)s, %(content_hash)s,
    NOT EXISTS (SELECT FROM codex_kb.codex_task_memory_vectors AS made JOIN codex_kb.memory_models USING (model)
        WHERE made.content_hash = %(content_hash)s AND state = 'active'),
    %(repository)s, %(namespaces)s, %(resource_kinds)s, %(tags)s, %(trust)s, %(attempt)s)
ON CONFLICT (task_id, kind, source_ref, chunk) DO UPDATE
    SET content = EXCLUDED.content, content_hash = EXCLUDED.content_hash, waits = EXCLUDED.waits
    WHERE known.content_hash <> EXCLUDED.content_hash OR known.waits <> EXCLUDED.waits
"""

# A text that is cut in fewer pieces than it was leaves none that would wait for ever.
_CUT_OFF = """
DELETE FROM codex_kb.codex_task_memory_index
WHERE task_id = %(task_id)s AND kind = %(kind)s AND source_ref = %(source_ref)s AND chunk > %(chunk)s
"""

# A round of texts may be a few megabytes, and no more.
_ROUND_BYTES = 4_000_000

_PROMPT = """
SELECT prompt, tenant, attempt,
    coalesce(finished_at > now() - %(grace)s * interval '1 second', true) AS accepted
FROM codex_kb.codex_tasks WHERE id = %(task)s
"""


class PgMemories:
    """Memories in `codex_task_memory_index`, with their vectors. A model is name and dimension, as `name:3072`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def missing(self, tasks: Sequence[UUID], limit: int) -> list[Text]:
        """Texts of these tasks that are not kept yet, or wait for a vector of the model in use, oldest task first.

        A part of them if they are large.
        """
        parameters = {"tasks": list(tasks), "limit": limit, "bytes": _ROUND_BYTES}
        return [Text(**row) for row in self._database.all(_MISSING, parameters)]

    def waiting(self, limit: int) -> list[UUID]:
        """Tasks with such texts, oldest first: those that moved within a day, and those that are known to wait."""
        return [row["id"] for row in self._database.all(_WAITING, {"limit": limit})]

    def known(self, hashes: Sequence[bytes], model: str) -> set[bytes]:
        """Those hashes of contents that the model has made a vector of, or refuses for ever, in whatever task."""
        rows = self._database.all(_KNOWN, {"hashes": list(hashes), "model": model})
        return {bytes(row["content_hash"]) for row in rows}

    def vector(self, content_hash: bytes, model: str) -> Sequence[float] | None:
        """What the model made of a content, in whatever task; None if nothing yet, Rejected if it refuses for ever."""
        row = self._database.one(_VECTOR, {"hash": content_hash, "model": model})
        if row and row["vector"] is None:
            raise Rejected("the model refuses this text")
        return row["vector"] if row else None

    def store(self, rows: Sequence[MemoryRow], received: Event | None, announcement: Event | None) -> bool:
        """Keeps rows, all that there are of each text; with an announcement the task is prepared too.

        False if `received` was known. What has no vector of the model in use waits, whatever model made one; what
        was forgotten meanwhile is not kept.
        """

        def work(cursor: Cursor) -> bool:
            if received and not inbox.receive(cursor, "embedder", received):
                return False
            if rows:
                memory_models.hold(cursor)
                _keep(cursor, _not_forgotten(cursor, rows))
            if announcement and announcement.subject:
                runs.prepare(cursor, UUID(announcement.subject))
                outbox.add(cursor, announcement)
            return True

        return self._database.transaction(work)

    def prompt(self, task: UUID) -> tuple[str, str, int | None] | None:
        """Prompt, tenant and the attempt whose token works (None once the grace is over); None for an unknown task."""
        row = self._database.one(_PROMPT, {"task": task, "grace": GRACE_SECONDS})
        return (row["prompt"], row["tenant"], row["attempt"] if row["accepted"] else None) if row else None


def _keep(cursor: Cursor, rows: Sequence[MemoryRow]) -> None:
    if rows:
        memory_vectors.keep(cursor, [(row.model, row.content_hash, row.vector) for row in rows if row.model])
        cursor.executemany(_STORE.encode(), [_columns(row) for row in rows])
        cursor.executemany(_CUT_OFF.encode(), _last(rows))


def _not_forgotten(cursor: Cursor, rows: Sequence[MemoryRow]) -> list[MemoryRow]:
    """Those rows whose text was not forgotten while it was embedded; read after the lock, so that none is missed."""
    tasks = list({row.text.task_id for row in rows})
    forgotten = {tuple(row.values()) for row in cursor.execute(_FORGOTTEN.encode(), {"tasks": tasks})}
    if not forgotten:
        return list(rows)
    names = [(row, row.text.task_id, row.text.kind, row.text.source_ref) for row in rows]
    return [
        row
        for row, task, kind, ref in names
        if forgotten.isdisjoint({(task, kind, ref), (task, kind, ""), (task, "", ref), (task, "", "")})
    ]


def _columns(row: MemoryRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "task_id": row.text.task_id,
        "kind": row.text.kind,
        "source_ref": row.text.source_ref,
        "chunk": row.chunk,
        "tenant": row.text.tenant,
        "content": row.content,
        "content_hash": row.content_hash,
        "repository": row.text.repository,
        "namespaces": list(row.text.namespaces),
        "resource_kinds": list(row.text.resource_kinds),
        "tags": list(row.text.tags),
        "trust": row.text.trust,
        "attempt": row.text.attempt,
    }


def _last(rows: Sequence[MemoryRow]) -> list[dict[str, Any]]:
    """The columns of the last piece of each text."""
    last = {(row.text.task_id, row.text.kind, row.text.source_ref): row for row in sorted(rows, key=_chunk)}
    return [_columns(row) for row in last.values()]


def _chunk(row: MemoryRow) -> int:
    return row.chunk
