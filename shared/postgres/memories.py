"""The memory index: what tasks leave behind, found again by vector and by words."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shared.domain.memory import Memory, Recalled
from shared.domain.memory_index import Filters, MemoryRow, Text
from shared.domain.task_token import GRACE_SECONDS
from shared.events.event import Event
from shared.postgres import inbox, outbox, runs
from shared.postgres.database import Cursor, Database, Row

# Every text of a task that should have a vector of the model and has none. Its first chunk tells:
# the chunks of one text are stored together, all with vectors or all without.
_MISSING = """
WITH sources AS (
    SELECT id AS task_id, 'prompt' AS kind, 'prompt' AS source_ref, prompt AS text FROM codex_kb.codex_tasks
    UNION ALL
    SELECT task_id, 'snapshot-' || type, id::text, content FROM codex_kb.codex_task_snapshots
    UNION ALL
    SELECT task_id, 'change', id::text, diff FROM codex_kb.codex_task_snapshots
    UNION ALL
    SELECT id, 'outcome', 'attempt ' || attempt, status || ': ' || coalesce(nullif(result, ''), reason)
    FROM codex_kb.codex_tasks WHERE finished_at IS NOT NULL
)
SELECT sources.task_id, sources.kind, sources.source_ref, sources.text, task.tenant, task.repository, task.tags,
    ARRAY(SELECT DISTINCT target->>'namespace' FROM jsonb_array_elements(task.targets) AS target) AS namespaces,
    ARRAY(SELECT DISTINCT target->>'kind' FROM jsonb_array_elements(task.targets) AS target) AS resource_kinds
FROM sources JOIN codex_kb.codex_tasks AS task ON task.id = sources.task_id
WHERE btrim(sources.text) <> ''
    AND (sources.task_id = %(task)s OR %(task)s::uuid IS NULL AND (task.updated_at > now() - interval '1 day'
        OR EXISTS (SELECT FROM codex_kb.codex_task_memory_index AS pending
            WHERE pending.task_id = task.id AND pending.embedding IS NULL)))
    AND NOT EXISTS (SELECT FROM codex_kb.codex_task_memory_index AS known
        WHERE known.task_id = sources.task_id AND known.kind = sources.kind
            AND known.source_ref = sources.source_ref AND known.chunk = 0 AND known.model = %(model)s)
ORDER BY task.created_at LIMIT %(limit)s
"""

_STORE = """
INSERT INTO codex_kb.codex_task_memory_index AS known (id, task_id, kind, source_ref, chunk, tenant, content,
    content_hash, model, embedding, repository, namespaces, resource_kinds, tags)
VALUES (%(id)s, %(task_id)s, %(kind)s, %(source_ref)s, %(chunk)s, %(tenant)s, %(content)s, %(content_hash)s,
    %(model)s, %(vector)s::halfvec, %(repository)s, %(namespaces)s, %(resource_kinds)s, %(tags)s)
ON CONFLICT (task_id, kind, source_ref, chunk) DO UPDATE
    SET content = EXCLUDED.content, content_hash = EXCLUDED.content_hash, model = EXCLUDED.model,
        embedding = EXCLUDED.embedding
    WHERE EXCLUDED.embedding IS NOT NULL
"""

_MEMORY = """found.id, found.task_id, found.kind, found.source_ref, found.content AS text, found.repository,
    found.namespaces, found.resource_kinds, found.tags, found.tenant, found.created_at, task.status AS outcome,
    found.score"""

_FILTERS = """memory.tenant = %(tenant)s AND memory.task_id <> %(task)s
        AND (%(namespace)s::text IS NULL OR %(namespace)s = ANY(memory.namespaces))
        AND (%(resource_kind)s::text IS NULL OR %(resource_kind)s = ANY(memory.resource_kinds))
        AND (%(repository)s::text IS NULL OR memory.repository = %(repository)s)
        AND (%(kind)s::text IS NULL OR memory.kind = %(kind)s)"""

# Exact: every row of the tenant is compared, and one row a task is kept.
_NEAREST_TO_TASK = f"""
WITH asked AS (
    SELECT embedding, model, tenant FROM codex_kb.codex_task_memory_index
    WHERE task_id = %(task)s AND kind = 'prompt' AND embedding IS NOT NULL ORDER BY chunk LIMIT 1
), found AS (
    SELECT DISTINCT ON (memory.task_id) memory.*, 1 - (memory.embedding <=> asked.embedding) AS score
    FROM codex_kb.codex_task_memory_index AS memory
    JOIN asked ON memory.model = asked.model AND memory.tenant = asked.tenant
    WHERE memory.task_id <> %(task)s
    ORDER BY memory.task_id, memory.embedding <=> asked.embedding
)
SELECT {_MEMORY} FROM found JOIN codex_kb.codex_tasks AS task ON task.id = found.task_id
WHERE found.score >= %(least)s ORDER BY found.score DESC LIMIT %(limit)s
"""  # noqa: S608  # the only thing put in is the list of columns above

_BY_VECTOR = f"""
WITH found AS (
    SELECT DISTINCT ON (memory.task_id) memory.*, 1 - (memory.embedding <=> %(vector)s::halfvec) AS score
    FROM codex_kb.codex_task_memory_index AS memory
    WHERE memory.model = %(model)s AND {_FILTERS}
    ORDER BY memory.task_id, memory.embedding <=> %(vector)s::halfvec
)
SELECT {_MEMORY} FROM found JOIN codex_kb.codex_tasks AS task ON task.id = found.task_id
ORDER BY found.score DESC LIMIT %(limit)s
"""  # noqa: S608  # the only things put in are the constants above

# Any word may match; the more and the closer, the higher. Scores are below 1 (normalisation 32).
_BY_WORDS = f"""
WITH query AS (
    SELECT replace(plainto_tsquery('english', %(text)s)::text, '&', '|')::tsquery AS wanted
), found AS (
    SELECT DISTINCT ON (memory.task_id) memory.*, ts_rank_cd(memory.words, query.wanted, 32) AS score
    FROM codex_kb.codex_task_memory_index AS memory, query
    WHERE memory.words @@ query.wanted AND {_FILTERS}
    ORDER BY memory.task_id, ts_rank_cd(memory.words, query.wanted, 32) DESC
)
SELECT {_MEMORY} FROM found JOIN codex_kb.codex_tasks AS task ON task.id = found.task_id
ORDER BY found.score DESC LIMIT %(limit)s
"""  # noqa: S608  # the only things put in are the constants above

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

    def missing(self, task: UUID | None, model: str, limit: int) -> list[Text]:
        """Texts without a vector of the model, oldest task first: of one task, or of any."""
        rows = self._database.all(_MISSING, {"task": task, "model": model, "limit": limit})
        return [Text(**row) for row in rows]

    def store(self, rows: Sequence[MemoryRow], received: Event | None, announcement: Event | None) -> bool:
        """Keeps rows; with an announcement the task is prepared too. False if `received` was known."""

        def work(cursor: Cursor) -> bool:
            if received and not inbox.receive(cursor, "embedder", received):
                return False
            for row in rows:
                cursor.execute(_STORE.encode(), _columns(row))
            if announcement and announcement.subject:
                runs.prepare(cursor, UUID(announcement.subject))
                outbox.add(cursor, announcement)
            return True

        return self._database.transaction(work)

    def nearest_to_task(self, task: UUID, limit: int, least: float = 0.2) -> list[Recalled]:
        """What other tasks of the tenant left that is nearest to the task's prompt, best first, one a task.

        Empty while the prompt has no vector, and where nothing scores at least `least` (cosine).
        """
        rows = self._database.all(_NEAREST_TO_TASK, {"task": task, "limit": limit, "least": least})
        return [_recalled(row) for row in rows]

    def by_vector(self, vector: Sequence[float], model: str, filters: Filters, limit: int) -> list[Recalled]:
        """The nearest by cosine, best first, at most one a task."""
        parameters = _filters(filters) | {"vector": _halfvec(vector), "model": model, "limit": limit}
        return [_recalled(row) for row in self._database.all(_BY_VECTOR, parameters)]

    def by_words(self, text: str, filters: Filters, limit: int) -> list[Recalled]:
        """The best matches of the text's words, at most one a task."""
        parameters = _filters(filters) | {"text": text, "limit": limit}
        return [_recalled(row) for row in self._database.all(_BY_WORDS, parameters)]

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


def _filters(filters: Filters) -> dict[str, Any]:
    return {
        "tenant": filters.tenant,
        "task": filters.not_task,
        "namespace": filters.namespace,
        "resource_kind": filters.resource_kind,
        "repository": filters.repository,
        "kind": filters.kind,
    }


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
        "vector": None if row.vector is None else _halfvec(row.vector),
        "repository": row.text.repository,
        "namespaces": list(row.text.namespaces),
        "resource_kinds": list(row.text.resource_kinds),
        "tags": list(row.text.tags),
    }


def _halfvec(vector: Sequence[float]) -> str:
    return f"[{','.join(format(value, '.6g') for value in vector)}]"


def _recalled(row: Row) -> Recalled:
    fields = dict(row)
    score = float(fields.pop("score"))
    return Recalled(Memory(**fields), score)
