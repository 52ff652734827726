"""Tasks as intake knows them: accepted once, looked at often."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from shared.domain.ids import run_id
from shared.domain.task import Accepted, Target, TaskRequest
from shared.events.event import Event
from shared.postgres import outbox
from shared.postgres.database import Database, Row

# One statement, so one round trip and one transaction. A delivery that is known already inserts
# nothing; one that another transaction is inserting right now fails on task_runs_delivery_unique.
# Ideas and tasks have random ids: a derived one would be a second key to conflict on, which ON CONFLICT
# does not catch when two deliveries of one issue come at the same moment.
_ACCEPT = """
WITH idea AS (
    INSERT INTO codex_kb.ideas (source_type, source_ref, priority, status, payload)
    SELECT %(source_type)s, %(source_ref)s, %(priority)s, 'received', %(payload)s
    WHERE NOT EXISTS (SELECT FROM codex_kb.task_runs WHERE delivery_id = %(delivery_id)s)
    ON CONFLICT (source_type, source_ref) DO UPDATE
        SET priority = EXCLUDED.priority, payload = EXCLUDED.payload, updated_at = now()
    RETURNING id
), task AS (
    INSERT INTO codex_kb.tasks (idea_id, stage, state, metadata)
    SELECT idea.id, %(stage)s, 'queued', %(row_metadata)s FROM idea
    ON CONFLICT (idea_id, stage) DO UPDATE
        SET state = 'queued', metadata = EXCLUDED.metadata, updated_at = now()
    RETURNING id, idea_id
), run AS (
    INSERT INTO codex_kb.task_runs (id, task_id, status, metadata, delivery_id)
    SELECT %(run_id)s, task.id, 'queued', %(row_metadata)s, %(delivery_id)s FROM task
    RETURNING id
), control AS (
    INSERT INTO codex_kb.codex_tasks (id, caller, tenant, prompt, stage, mode, repository, base, head, targets,
        tags, metadata, priority, deadline_seconds, body_hash, status, traceparent)
    SELECT run.id, %(caller)s, %(tenant)s, %(prompt)s, %(stage)s, %(mode)s, %(repository)s, %(base)s, %(head)s,
        %(targets)s, %(tags)s, %(metadata)s, %(priority)s, %(deadline_seconds)s, %(body_hash)s, 'accepted',
        %(traceparent)s
    FROM run
    RETURNING status, created_at, body_hash
), announced AS (
    INSERT INTO codex_kb.outbox (id, event) SELECT %(event_id)s, %(event)s FROM control ON CONFLICT DO NOTHING
)
SELECT run.id AS run_id, task.id AS task_id, task.idea_id, control.status, control.created_at AS accepted_at,
    control.body_hash, %(stage)s AS stage
FROM run, task, control
"""

# Rows of the earlier system have no codex_tasks beside them.
_ACCEPTED = """
SELECT task_runs.id AS run_id, tasks.id AS task_id, tasks.idea_id, tasks.stage,
    coalesce(codex_tasks.status, task_runs.status) AS status,
    coalesce(codex_tasks.created_at, task_runs.created_at) AS accepted_at,
    codex_tasks.body_hash
FROM codex_kb.task_runs
JOIN codex_kb.tasks ON tasks.id = task_runs.task_id
LEFT JOIN codex_kb.codex_tasks ON codex_tasks.id = task_runs.id
WHERE task_runs.delivery_id = %(delivery_id)s
"""

_STATUS = """
SELECT codex_tasks.id::text AS "taskId", status, reason, result, stage, mode, repository, base, head, caller,
    attempt AS attempts, priority, deadline_seconds AS "deadlineSeconds", tags, targets, metadata, usage,
    kubernetes_job_name AS "jobName", argo_workflow_name AS "workflowName",
    codex_tasks.created_at AS "acceptedAt", launched_at AS "launchedAt", finished_at AS "finishedAt",
    (SELECT coalesce(jsonb_agg(jsonb_build_object('id', artifacts.id, 'name', artifacts.metadata->>'name',
        'size', artifacts.metadata->'size', 'sha256', checksum, 'uri', uri) ORDER BY artifacts.created_at), '[]')
     FROM codex_kb.artifacts WHERE task_run_id = codex_tasks.id) AS artifacts,
    (SELECT jsonb_build_object('stored', count(*), 'embedded', count(embedding), 'models',
        coalesce(jsonb_agg(DISTINCT model) FILTER (WHERE model IS NOT NULL), '[]'))
     FROM codex_kb.codex_task_memory_index WHERE task_id = codex_tasks.id) AS memory
FROM codex_kb.codex_tasks WHERE codex_tasks.id = %(id)s AND tenant = %(tenant)s
"""

_TIMELINE = """
SELECT at, what, detail FROM (
    SELECT created_at AS at, 0 AS place, 'accepted' AS what,
        jsonb_build_object('caller', caller, 'stage', stage, 'mode', mode) AS detail
    FROM codex_kb.codex_tasks WHERE id = %(id)s
    UNION ALL
    SELECT created_at, 1, 'remembered', jsonb_build_object('kind', kind, 'model', model)
    FROM codex_kb.codex_task_memory_index WHERE task_id = %(id)s
    UNION ALL
    SELECT shown_at, 2, 'memory shown', jsonb_build_object('channel', channel, 'score', score, 'kind', memory.kind,
        'memoryId', memory.id, 'ofTask', memory.task_id)
    FROM codex_kb.memory_exposure JOIN codex_kb.codex_task_memory_index AS memory ON memory.id = memory_id
    WHERE memory_exposure.task_id = %(id)s
    UNION ALL
    SELECT launched_at, 3, 'launched', jsonb_build_object('attempt', attempt, 'resource', kubernetes_job_name)
    FROM codex_kb.codex_tasks WHERE id = %(id)s AND launched_at IS NOT NULL
    UNION ALL
    SELECT received_at, 4, event_type, jsonb_build_object('attempt', attempt, 'sequence', sequence, 'content', content)
    FROM codex_kb.codex_task_events WHERE task_id = %(id)s
    UNION ALL
    SELECT finished_at, 5, status, jsonb_build_object('reason', reason, 'result', result)
    FROM codex_kb.codex_tasks WHERE id = %(id)s AND finished_at IS NOT NULL
) AS story
WHERE EXISTS (SELECT FROM codex_kb.codex_tasks WHERE id = %(id)s AND tenant = %(tenant)s)
ORDER BY at, place
"""


class PgTasks:
    """Tasks in `ideas`, `tasks`, `task_runs` and `codex_tasks`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, request: TaskRequest, announcement: Event, traceparent: str | None) -> Accepted:
        """Stores the task with its announcement, or finds what an earlier delivery stored."""
        try:
            row = self._database.one(_ACCEPT, _columns(request, announcement, traceparent))
        except psycopg.errors.UniqueViolation:
            row = None
        if row is not None:
            return Accepted(**row, duplicate=False)
        return Accepted(**self._accepted(request.delivery_id), duplicate=True)

    def _accepted(self, delivery_id: str) -> Row:
        row = self._database.one(_ACCEPTED, {"delivery_id": delivery_id})
        if row is None:
            raise LookupError("a delivery that could not be inserted cannot be found")
        return row

    def status(self, task_id: UUID, tenant: str) -> Mapping[str, Any] | None:
        """The task as the API shows it, None if the tenant has no such task."""
        return self._database.one(_STATUS, {"id": task_id, "tenant": tenant})

    def timeline(self, task_id: UUID, tenant: str) -> Sequence[Mapping[str, Any]]:
        """What happened to the task, oldest first; empty if the tenant has no such task."""
        return self._database.all(_TIMELINE, {"id": task_id, "tenant": tenant})


def _columns(request: TaskRequest, announcement: Event, traceparent: str | None) -> dict[str, Any]:
    event = outbox.stored(announcement)
    return {
        "run_id": run_id(request.delivery_id),
        "delivery_id": request.delivery_id,
        "source_type": request.source_type,
        "source_ref": request.source_ref,
        "caller": request.caller,
        "tenant": request.tenant,
        "prompt": request.prompt,
        "stage": request.stage,
        "mode": request.mode,
        "repository": request.repository,
        "base": request.base,
        "head": request.head,
        "priority": request.priority,
        "deadline_seconds": request.deadline_seconds,
        "tags": list(request.tags),
        "body_hash": request.body_hash,
        "payload": Jsonb(dict(request.payload)),
        "metadata": Jsonb(dict(request.metadata)),
        "row_metadata": Jsonb(_row_metadata(request)),
        "targets": Jsonb([_target(target) for target in request.targets]),
        "event_id": event["id"],
        "event": event["event"],
        "traceparent": traceparent,
    }


def _row_metadata(request: TaskRequest) -> dict[str, Any]:
    return {
        "deliveryId": request.delivery_id,
        "stage": request.stage,
        "repository": request.repository,
        "issueNumber": request.issue_number,
        "head": request.head,
        "base": request.base,
    }


def _target(target: Target) -> dict[str, str]:
    return {
        "apiVersion": target.api_version,
        "kind": target.kind,
        "namespace": target.namespace,
        "name": target.name,
    }
