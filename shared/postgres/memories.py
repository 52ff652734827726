"""The memory index: what tasks leave behind, and who was shown what of it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shared.domain.memory import Recalled
from shared.domain.memory_index import MemoryRow, Text
from shared.domain.task_token import GRACE_SECONDS
from shared.events.event import Event
from shared.postgres import inbox, outbox, runs
from shared.postgres.database import Cursor, Database
from shared.postgres.half_vector import HalfVector

# Every text of a task that should have a vector.
_SOURCES = """
    SELECT id AS task_id, 'prompt' AS kind, 'prompt' AS source_ref, prompt AS text FROM codex_kb.codex_tasks
    UNION ALL
    SELECT task_id, 'snapshot-' || type, id::text, content FROM codex_kb.codex_task_snapshots
    UNION ALL
    SELECT task_id, 'change', id::text, diff FROM codex_kb.codex_task_snapshots
    UNION ALL
    SELECT id, 'outcome', 'attempt ' || attempt, status || ': ' || coalesce(nullif(result, ''), reason)
    FROM codex_kb.codex_tasks WHERE finished_at IS NOT NULL
"""

# Its first chunk has no vector of the model, or another is still to get one. What the model refuses is done.
_UNEMBEDDED = """(NOT EXISTS (SELECT FROM codex_kb.codex_task_memory_index AS known
        WHERE known.task_id = sources.task_id AND known.kind = sources.kind
            AND known.source_ref = sources.source_ref AND known.chunk = 0
            AND (known.model = %(model)s OR known.refused_by = %(model)s))
    OR EXISTS (SELECT FROM codex_kb.codex_task_memory_index AS pending
        WHERE pending.task_id = sources.task_id AND pending.kind = sources.kind
            AND pending.source_ref = sources.source_ref AND pending.embedding IS NULL
            AND pending.refused_by IS DISTINCT FROM %(model)s))"""

_ANYTHING = "btrim(sources.text, E' \\t\\r\\n') <> ''"

# At most so many bytes together, but one text at least.
_MISSING = f"""
WITH sources AS ({_SOURCES}), chosen AS (
    SELECT sources.*, task.created_at, task.tenant, task.repository, task.tags, task.targets,
        sum(octet_length(sources.text)) OVER (ORDER BY task.created_at, task.id, sources.kind, sources.source_ref)
            - octet_length(sources.text) AS before
    FROM sources JOIN codex_kb.codex_tasks AS task ON task.id = sources.task_id
    WHERE sources.task_id = ANY(%(tasks)s::uuid[]) AND {_ANYTHING} AND {_UNEMBEDDED}
)
SELECT task_id, kind, source_ref, text, tenant, repository, tags,
    ARRAY(SELECT DISTINCT target->>'namespace' FROM jsonb_array_elements(targets) AS target) AS namespaces,
    ARRAY(SELECT DISTINCT target->>'kind' FROM jsonb_array_elements(targets) AS target) AS resource_kinds
FROM chosen WHERE before < %(bytes)s
ORDER BY created_at, task_id, kind, source_ref LIMIT %(limit)s
"""  # noqa: S608  # the only things put in are the constants above

# The large texts of what is done already are not read.
_WAITING = f"""
WITH sources AS ({_SOURCES})
SELECT task.id FROM codex_kb.codex_tasks AS task
WHERE (task.updated_at > now() - interval '1 day'
        OR EXISTS (SELECT FROM codex_kb.codex_task_memory_index AS waiting
            WHERE waiting.task_id = task.id AND waiting.embedding IS NULL
                AND waiting.refused_by IS DISTINCT FROM %(model)s))
    AND EXISTS (SELECT FROM sources
        WHERE sources.task_id = task.id AND CASE WHEN {_UNEMBEDDED} THEN {_ANYTHING} END)
ORDER BY task.created_at LIMIT %(limit)s
"""  # noqa: S608  # the only things put in are the constants above

_KNOWN = """
SELECT DISTINCT content_hash FROM codex_kb.codex_task_memory_index
WHERE content_hash = ANY(%(hashes)s::bytea[]) AND model = %(model)s AND embedding IS NOT NULL
"""

# Without a vector of its own a row gets that of an equal text. The vector says no more than the text, which
# the row holds; so it may come from another tenant's row.
_STORE = """
INSERT INTO codex_kb.codex_task_memory_index AS known (id, task_id, kind, source_ref, chunk, tenant, content,
    content_hash, model, embedding, refused_by, repository, namespaces, resource_kinds, tags)
SELECT %(id)s, %(task_id)s, %(kind)s, %(source_ref)s, %(chunk)s, %(tenant)s, %(content)s, %(content_hash)s,
    CASE WHEN made.vector IS NOT NULL THEN %(model)s END, made.vector, %(refused_by)s, %(repository)s,
    %(namespaces)s, %(resource_kinds)s, %(tags)s
FROM (SELECT coalesce(%(vector)s::halfvec, (SELECT twin.embedding FROM codex_kb.codex_task_memory_index AS twin
    WHERE twin.content_hash = %(content_hash)s AND twin.model = %(model)s AND twin.embedding IS NOT NULL
    LIMIT 1)) AS vector) AS made
ON CONFLICT (task_id, kind, source_ref, chunk) DO UPDATE
    SET content = EXCLUDED.content, content_hash = EXCLUDED.content_hash, refused_by = EXCLUDED.refused_by,
        model = coalesce(EXCLUDED.model, known.model), embedding = coalesce(EXCLUDED.embedding, known.embedding)
    WHERE EXCLUDED.embedding IS NOT NULL OR EXCLUDED.refused_by IS NOT NULL
"""

# A round of texts may be a few megabytes, and no more.
_ROUND_BYTES = 4_000_000

_EXPOSE = """
INSERT INTO codex_kb.memory_exposure (task_id, attempt, memory_id, channel, rank, score)
SELECT %(task)s, %(attempt)s, memory_id, 'query', rank, score
FROM unnest(%(memories)s::uuid[], %(scores)s::real[]) WITH ORDINALITY AS shown (memory_id, score, rank)
ON CONFLICT DO NOTHING
"""

_PROMPT = """
SELECT prompt, tenant, attempt,
    coalesce(finished_at > now() - %(grace)s * interval '1 second', true) AS accepted
FROM codex_kb.codex_tasks WHERE id = %(task)s
"""


class PgMemories:
    """Memories in `codex_task_memory_index`. `model` is always name and dimension, as `name:3072`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def missing(self, tasks: Sequence[UUID], model: str, limit: int) -> list[Text]:
        """Texts of these tasks without a vector of the model, oldest task first; a part of them if they are large."""
        parameters = {"tasks": list(tasks), "model": model, "limit": limit, "bytes": _ROUND_BYTES}
        return [Text(**row) for row in self._database.all(_MISSING, parameters)]

    def waiting(self, model: str, limit: int) -> list[UUID]:
        """Tasks with such texts, oldest first: those that moved within a day, and those that are known to wait."""
        return [row["id"] for row in self._database.all(_WAITING, {"model": model, "limit": limit})]

    def known(self, hashes: Sequence[bytes], model: str) -> set[bytes]:
        """Those hashes of contents that have a vector of the model, in whatever task."""
        rows = self._database.all(_KNOWN, {"hashes": list(hashes), "model": model})
        return {bytes(row["content_hash"]) for row in rows}

    def store(self, rows: Sequence[MemoryRow], received: Event | None, announcement: Event | None) -> bool:
        """Keeps rows; with an announcement the task is prepared too. False if `received` was known."""

        def work(cursor: Cursor) -> bool:
            if received and not inbox.receive(cursor, "embedder", received):
                return False
            if rows:
                cursor.executemany(_STORE.encode(), [_columns(row) for row in rows])
            if announcement and announcement.subject:
                runs.prepare(cursor, UUID(announcement.subject))
                outbox.add(cursor, announcement)
            return True

        return self._database.transaction(work)

    def expose(self, task: UUID, attempt: int, shown: Sequence[Recalled]) -> None:
        """Notes that a run asked and was shown these memories."""
        parameters = {
            "task": task,
            "attempt": attempt,
            "memories": [recalled.memory.id for recalled in shown],
            "scores": [recalled.score for recalled in shown],
        }
        self._database.do(_EXPOSE, parameters)

    def prompt(self, task: UUID) -> tuple[str, str, int | None] | None:
        """Prompt, tenant and the attempt whose token works (None once the grace is over); None for an unknown task."""
        row = self._database.one(_PROMPT, {"task": task, "grace": GRACE_SECONDS})
        return (row["prompt"], row["tenant"], row["attempt"] if row["accepted"] else None) if row else None


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
        "model": row.model,
        "vector": None if row.vector is None else HalfVector(row.vector),
        "refused_by": row.refused_by,
        "repository": row.text.repository,
        "namespaces": list(row.text.namespaces),
        "resource_kinds": list(row.text.resource_kinds),
        "tags": list(row.text.tags),
    }
