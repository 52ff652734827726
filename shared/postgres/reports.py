"""What containers report, recorded once per event id."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.domain.errors import Conflict, NotFound, Unauthenticated
from shared.domain.report import End, Recorded, Report
from shared.domain.run import RunState
from shared.domain.task_token import GRACE_SECONDS, REFUSED
from shared.events.event import Event
from shared.postgres import outbox, runs
from shared.postgres.database import Cursor, Database, Row

# In a statement of its own, so that the next one sees what the other writers of this run have committed.
_LOCK = "SELECT attempt, status FROM codex_kb.codex_tasks WHERE id = %(id)s FOR UPDATE"

# One row, none for an unknown task. Statements in WITH see the state before them: what came now is `fresh`.
_RECORD = """
WITH task AS MATERIALIZED (
    SELECT id, attempt, status, finished_at, usage,
        CASE WHEN reported_attempt = attempt THEN reported_through ELSE 0 END AS through
    FROM codex_kb.codex_tasks WHERE id = %(id)s
), sent AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(events)s::jsonb) AS sent
        (event_id text, sequence int, event_type text, content jsonb, usage jsonb, snapshot jsonb)
), known AS (
    SELECT count(*) AS events FROM codex_kb.codex_task_events JOIN sent USING (event_id) WHERE task_id = %(id)s
), fresh AS (
    INSERT INTO codex_kb.codex_task_events (task_id, attempt, event_id, sequence, event_type, content)
    SELECT task.id, task.attempt, event_id, sequence, event_type, content FROM sent, task
    WHERE task.attempt = %(attempt)s AND finished_at IS NULL
    ORDER BY sequence
    ON CONFLICT (task_id, event_id) DO NOTHING RETURNING event_id, sequence
), taken AS (
    INSERT INTO codex_kb.codex_task_snapshots (id, task_id, attempt, type, content, digest)
    SELECT (snapshot->>'id')::uuid, %(id)s, %(attempt)s, snapshot->>'type', snapshot->>'content', snapshot->>'digest'
    FROM fresh JOIN sent USING (event_id) WHERE snapshot IS NOT NULL
), told AS (
    INSERT INTO codex_kb.outbox (id, event)
    SELECT %(outbox_id)s::uuid, %(outbox_event)s WHERE %(outbox_id)s IS NOT NULL AND EXISTS (SELECT FROM fresh)
    ON CONFLICT DO NOTHING
), pairs AS (
    SELECT sequence, lag(sequence, 1, through) OVER (ORDER BY sequence) AS previous
    FROM task, LATERAL (
        SELECT sequence FROM codex_kb.codex_task_events AS stored
        WHERE stored.task_id = task.id AND stored.attempt = %(attempt)s AND stored.sequence > through
        UNION SELECT sequence FROM fresh WHERE sequence > through
    ) AS behind
), gap AS (
    SELECT previous + 1 AS first, sequence - 1 AS last FROM pairs WHERE sequence > previous + 1
    ORDER BY first LIMIT 100
), noted AS (
    UPDATE codex_kb.codex_tasks SET last_report_at = now(), reported_attempt = task.attempt,
        reported_through = coalesce((SELECT min(first) - 1 FROM gap), (SELECT max(sequence) FROM pairs), through),
        usage = CASE WHEN %(uses)s THEN task.usage || (
            SELECT coalesce(jsonb_object_agg(key, total), '{}') FROM (
                SELECT key, sum(number) + coalesce((task.usage->>key)::numeric, 0) AS total
                FROM fresh JOIN sent USING (event_id), LATERAL (
                    SELECT key, value::numeric AS number FROM jsonb_each_text(sent.usage)
                ) AS used
                GROUP BY key
            ) AS sums
        ) ELSE task.usage END
    FROM task WHERE codex_tasks.id = task.id AND EXISTS (SELECT FROM fresh)
)
SELECT task.attempt, status, known.events AS known, (SELECT count(*) FROM fresh) AS accepted,
    finished_at < now() - %(grace)s * interval '1 second' AS forgotten,
    ARRAY(SELECT ARRAY[first, last] FROM gap ORDER BY first) AS gaps
FROM task, known
"""


class PgReports:
    """Events and snapshots of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, task: UUID, attempt: int, reports: Sequence[Report], end: End | None, announcement: Event | None
    ) -> Recorded:
        """Stores what is new of a batch, and ends the run if it says so.

        NotFound for an unknown task, Conflict if another attempt has taken over, or if the run has ended and
        the batch brings anything new; Unauthenticated once the grace after its end is over. Events that are
        known already change nothing until then.
        """
        parameters = _parameters(task, attempt, reports, announcement)
        if end is None:
            _, row = self._database.together((_LOCK, {"id": task}), (_RECORD, parameters))
            return _recorded(row, attempt, len(reports))

        def work(cursor: Cursor) -> Recorded:
            cursor.execute(_LOCK.encode(), {"id": task})
            recorded = _recorded(cursor.execute(_RECORD.encode(), parameters).fetchone(), attempt, len(reports))
            if recorded.accepted:
                runs.finish(cursor, task, attempt, end.state, end.reason, end.result)
                return replace(recorded, status=end.state)
            return recorded

        return self._database.transaction(work)

    def canceled_by(self, task: UUID) -> str | None:
        """Who wanted the task to end; None if nobody did."""
        return runs.canceled_by(self._database, task)


def _parameters(task: UUID, attempt: int, reports: Sequence[Report], announcement: Event | None) -> dict[str, Any]:
    told = outbox.stored(announcement) if announcement else {"id": None, "event": None}
    return {
        "id": task,
        "attempt": attempt,
        "events": Jsonb([_columns(report) for report in reports]),
        "uses": any(report.usage for report in reports),
        "outbox_id": told["id"],
        "outbox_event": told["event"],
        "grace": GRACE_SECONDS,
    }


def _columns(report: Report) -> dict[str, Any]:
    snapshot = report.snapshot
    return {
        "event_id": report.event_id,
        "sequence": report.sequence,
        "event_type": report.event_type,
        "content": report.content,
        "usage": report.usage or None,
        "snapshot": snapshot
        and {"id": str(snapshot.id), "type": snapshot.type, "content": snapshot.content, "digest": snapshot.digest},
    }


def _recorded(row: Row | None, attempt: int, sent: int) -> Recorded:
    if row is None:
        raise NotFound("there is no such task")
    if row["attempt"] != attempt:
        raise Conflict("another attempt of this task has taken over")
    if row["forgotten"]:
        raise Unauthenticated(REFUSED)
    state = RunState(row["status"])
    if state.final and row["known"] < sent:
        raise Conflict("the run has ended: nothing more is recorded")
    gaps = tuple((first, last) for first, last in row["gaps"])
    return Recorded(row["accepted"], sent - row["accepted"], gaps, state)
