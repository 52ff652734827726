"""Tasks as they are looked at: lists, one task, and its story."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from shared.domain.cursors import EntryId, TaskCursor
from shared.domain.task_token import GRACE_SECONDS
from shared.domain.timeline import Entry, Page, Story, Wanted
from shared.postgres.database import Database, Row

_LIST = """
SELECT id::text AS "taskId", status, reason, stage, mode, caller, repository, priority, created_at AS "acceptedAt",
    launched_at AS "launchedAt", finished_at AS "finishedAt", cancel_requested_at IS NOT NULL AS "cancelRequested"
FROM codex_kb.codex_tasks
WHERE tenant = %(tenant)s AND (created_at, id) < (%(at)s::timestamptz, %(id)s::uuid)
    AND (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s))
    AND (%(caller)s::text IS NULL OR caller = %(caller)s)
    AND (%(repository)s::text IS NULL OR repository = %(repository)s)
ORDER BY created_at DESC, id DESC LIMIT %(limit)s
"""

_STATUS = """
SELECT codex_tasks.id::text AS "taskId", status, reason, result, stage, mode, repository, base, head, caller,
    attempt AS attempts, priority, deadline_seconds AS "deadlineSeconds", tags, targets, metadata, usage,
    orchestration, kubernetes_job_name AS "jobName", argo_workflow_name AS "workflowName",
    codex_tasks.created_at AS "acceptedAt", launched_at AS "launchedAt", finished_at AS "finishedAt",
    last_report_at AS "lastReportAt", cancel_requested_at IS NOT NULL AS "cancelRequested",
    (SELECT coalesce(jsonb_agg(jsonb_build_object('id', artifacts.id, 'name', artifacts.metadata->>'name',
        'size', artifacts.metadata->'size', 'sha256', checksum, 'uri', uri) ORDER BY artifacts.created_at), '[]')
     FROM codex_kb.artifacts WHERE task_run_id = codex_tasks.id) AS artifacts,
    (SELECT jsonb_build_object('stored', count(DISTINCT memory.id), 'embedded',
        count(DISTINCT memory.id) FILTER (WHERE embedding IS NOT NULL), 'models',
        coalesce(jsonb_agg(DISTINCT model) FILTER (WHERE embedding IS NOT NULL), '[]'))
     FROM codex_kb.codex_task_memory_index AS memory
     LEFT JOIN codex_kb.codex_task_memory_vectors USING (content_hash)
     WHERE memory.task_id = codex_tasks.id) AS memory
FROM codex_kb.codex_tasks
WHERE codex_tasks.id = %(id)s AND (tenant = %(tenant)s
    OR attempt = %(attempt)s AND coalesce(finished_at > now() - %(grace)s * interval '1 second', true))
"""

_ARTIFACT = """
SELECT artifacts.metadata->>'key' AS key, artifacts.metadata->>'name' AS name,
    artifacts.metadata->>'contentType' AS "contentType"
FROM codex_kb.artifacts JOIN codex_kb.codex_tasks ON codex_tasks.id = task_run_id
WHERE artifacts.id = %(artifact_id)s AND codex_tasks.id = %(id)s AND tenant = %(tenant)s
    AND artifacts.metadata ? 'key'
"""

# One row of nulls for a task of which there is nothing more to tell, none for an unknown one. Of what is
# held back a transaction may still be open, so that something could come to stand before it.
_STORY = """
WITH task AS (
    SELECT id, caller, stage, mode, created_at, finished_at
    FROM codex_kb.codex_tasks WHERE id = %(id)s AND tenant = %(tenant)s
), entry AS (
    SELECT '0'::xid8 AS position, created_at AS at, 0 AS place, '' AS tie, 'accepted' AS what,
        jsonb_build_object('caller', caller, 'stage', stage, 'mode', mode) AS detail
    FROM task
    UNION ALL
    SELECT position, created_at, 1, lpad(chunk::text, 10, '0') || '-' || id, 'remembered',
        jsonb_build_object('kind', kind, 'model', (
            SELECT model FROM codex_kb.codex_task_memory_vectors AS made JOIN codex_kb.memory_models USING (model)
            WHERE made.content_hash = memory.content_hash AND embedding IS NOT NULL AND state <> 'filling'
            ORDER BY state = 'active' DESC, since DESC LIMIT 1))
    FROM codex_kb.codex_task_memory_index AS memory
    WHERE task_id = %(id)s AND position >= %(position)s::xid8
    UNION ALL
    SELECT shown.position, shown_at, 2, concat_ws('-', lpad(rank::text, 10, '0'), shown.attempt, channel, memory.id),
        'memory shown', jsonb_build_object('channel', channel, 'score', score, 'kind', memory.kind,
            'memoryId', memory.id, 'ofTask', memory.task_id)
    FROM codex_kb.memory_exposure AS shown JOIN codex_kb.codex_task_memory_index AS memory ON memory.id = memory_id
    WHERE shown.task_id = %(id)s AND rank > 0 AND shown.position >= %(position)s::xid8
    UNION ALL
    SELECT position, received_at, 3, lpad(id::text, 19, '0'), event_type,
        jsonb_build_object('attempt', attempt, 'sequence', sequence, 'content', content)
    FROM codex_kb.codex_task_events WHERE task_id = %(id)s AND position >= %(position)s::xid8
    UNION ALL
    SELECT position, emitted_at, 4, lpad(id::text, 19, '0'), event_type, payload
    FROM codex_kb.run_events WHERE task_run_id = %(id)s AND position >= %(position)s::xid8
), following AS (
    SELECT *, (extract(epoch FROM at) * 1000000)::bigint AS micros FROM entry
    WHERE (position, (extract(epoch FROM at) * 1000000)::bigint, place, tie COLLATE "C")
            > (%(position)s::xid8, %(micros)s::bigint, %(place)s::int, %(tie)s::text COLLATE "C")
        AND (NOT %(held)s OR position < pg_snapshot_xmin(pg_current_snapshot()))
)
SELECT following.position::text, micros, place, tie, at, what, detail,
    task.finished_at IS NOT NULL AND NOT EXISTS (SELECT FROM codex_kb.run_events
        WHERE task_run_id = task.id AND position >= pg_snapshot_xmin(pg_current_snapshot())) AS over
FROM task LEFT JOIN following ON true
ORDER BY following.position, micros, place, tie COLLATE "C" LIMIT %(limit)s
"""

_LATEST = "infinity", UUID(int=2**128 - 1)
_FIRST = EntryId()


class PgTaskViews:
    """What is told of tasks. A tenant sees its own alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, tenant: str, wanted: Wanted) -> Page:
        """The tenant's tasks, newest first."""
        before = wanted.before
        at, last = (before.at.isoformat(), before.id) if before else _LATEST
        parameters = {
            "tenant": tenant,
            "at": at,
            "id": last,
            "statuses": [state.value for state in wanted.statuses] or None,
            "caller": wanted.caller,
            "repository": wanted.repository,
            "limit": wanted.limit + 1,
        }
        rows = self._database.all(_LIST, parameters)
        shown = rows[: wanted.limit]
        more = len(rows) > wanted.limit
        return Page(shown, TaskCursor(shown[-1]["acceptedAt"], UUID(shown[-1]["taskId"])) if more else None)

    def status(self, task_id: UUID, tenant: str) -> Mapping[str, Any] | None:
        """The task as the API shows it, None if the tenant has no such task."""
        return self._status(task_id, tenant, None)

    def own_status(self, task_id: UUID, attempt: int) -> Mapping[str, Any] | None:
        """The same for one attempt of it, None once its token has no use any more."""
        return self._status(task_id, None, attempt)

    def _status(self, task_id: UUID, tenant: str | None, attempt: int | None) -> Mapping[str, Any] | None:
        parameters = {"id": task_id, "tenant": tenant, "attempt": attempt, "grace": GRACE_SECONDS}
        return self._database.one(_STATUS, parameters)

    def artifact(self, task_id: UUID, tenant: str, artifact_id: UUID) -> Mapping[str, Any] | None:
        """Key, name and contentType of a file that the task left, None if the tenant's task has no such file."""
        return self._database.one(_ARTIFACT, {"id": task_id, "tenant": tenant, "artifact_id": artifact_id})

    def timeline(self, task_id: UUID, tenant: str) -> Sequence[Entry]:
        """Everything that happened to the task, oldest first; empty if the tenant has no such task."""
        rows = self._story(task_id, tenant, _FIRST, held=False, limit=None)
        return [_entry(row) for row in rows]

    def follow(self, task_id: UUID, tenant: str, after: EntryId | None, limit: int) -> Story | None:
        """What came after an entry, oldest first; None if the tenant has no such task.

        Whoever goes on from the last entry misses none and gets none twice: an entry is told only when
        nothing can come to stand before it any more.
        """
        rows = self._story(task_id, tenant, after or _FIRST, held=True, limit=limit)
        if not rows:
            return None
        entries = [_entry(row) for row in rows if row["what"] is not None]
        return Story(entries, rows[0]["over"] and len(entries) < limit)

    def _story(self, task_id: UUID, tenant: str, after: EntryId, *, held: bool, limit: int | None) -> Sequence[Row]:
        parameters = {
            "id": task_id,
            "tenant": tenant,
            "position": str(after.position),
            "micros": after.micros,
            "place": after.place,
            "tie": after.tie,
            "held": held,
            "limit": limit,
        }
        return self._database.all(_STORY, parameters)


def _entry(row: Row) -> Entry:
    id_ = EntryId(int(row["position"]), row["micros"], row["place"], row["tie"])
    return Entry(id_, row["at"], row["what"], row["detail"])
