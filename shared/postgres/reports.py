"""What containers report, recorded once per event id."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from shared.domain.errors import Conflict, NotFound, Unauthenticated
from shared.domain.report import End, Recorded, Report
from shared.domain.run import RunState
from shared.domain.task_token import GRACE_SECONDS, REFUSED
from shared.events.event import Event
from shared.postgres import outbox, runs
from shared.postgres.database import Cursor, Database, Row
from shared.postgres.group_commit import GroupCommit

# More in one statement brings no more, and makes its callers wait. A large batch counts as many.
_MOST_AT_ONCE = 32
_COUNTS_AS_ONE = 8192  # bytes
# How long a row of another transaction is waited for. A statement for many shall not wait for the sake of one.
_LOCK_TIMEOUT, _LOCK_TIMEOUT_OF_MANY = "2s", "100ms"

# In a statement of its own, so that the next one sees what the other writers of these runs have committed. In
# the order of their ids, so that two processes never wait for each other.
_LOCK = """
WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', %(lock_timeout)s, true))
SELECT codex_tasks.id FROM codex_kb.codex_tasks, patience WHERE codex_tasks.id = ANY(%(ids)s::uuid[])
ORDER BY codex_tasks.id FOR UPDATE OF codex_tasks
"""

# One batch or many, each of another run; a row for each run that is known. Statements in WITH see the state
# before them: what came now is `fresh`. Whatever is read of a table is looked up row by row, in subqueries that
# no planner can make joins of: with statistics that lag behind the inserts it would read the whole table.
_RECORD = """
WITH batch AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(batches)s::jsonb) AS batch
        (task_id uuid, spoken_by int, outbox_id uuid, outbox_event text)
), task AS MATERIALIZED (
    SELECT * FROM batch, LATERAL (
        SELECT attempt, status, finished_at, usage,
            CASE WHEN reported_attempt = attempt THEN reported_through ELSE 0 END AS through
        FROM codex_kb.codex_tasks WHERE id = task_id LIMIT 1
    ) AS found
), sent AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(events)s::jsonb) AS sent
        (task_id uuid, event_id text, sequence int, event_type text, content jsonb, usage jsonb, snapshot jsonb)
), fresh AS (
    INSERT INTO codex_kb.codex_task_events (task_id, attempt, event_id, sequence, event_type, content)
    SELECT task_id, attempt, event_id, sequence, event_type, content FROM sent JOIN task USING (task_id)
    WHERE attempt = spoken_by AND finished_at IS NULL
    ORDER BY task_id, sequence
    ON CONFLICT (task_id, event_id) DO NOTHING RETURNING task_id, event_id, sequence
), taken AS (
    INSERT INTO codex_kb.codex_task_snapshots (id, task_id, attempt, type, content, digest)
    SELECT (snapshot->>'id')::uuid, task_id, attempt, snapshot->>'type', snapshot->>'content', snapshot->>'digest'
    FROM fresh JOIN sent USING (task_id, event_id) JOIN task USING (task_id) WHERE snapshot IS NOT NULL
), told AS (
    INSERT INTO codex_kb.outbox (id, event)
    SELECT outbox_id, outbox_event FROM batch
    WHERE outbox_id IS NOT NULL AND EXISTS (SELECT FROM fresh WHERE fresh.task_id = batch.task_id)
    ON CONFLICT DO NOTHING
), pairs AS (
    SELECT task_id, sequence, lag(sequence, 1, through) OVER (PARTITION BY task_id ORDER BY sequence) AS previous
    FROM task, LATERAL (
        SELECT unnest(ARRAY(SELECT sequence FROM codex_kb.codex_task_events AS stored
            WHERE stored.task_id = task.task_id AND stored.attempt = spoken_by AND stored.sequence > through
        )) AS sequence
        UNION SELECT sequence FROM fresh WHERE fresh.task_id = task.task_id AND sequence > through
    ) AS behind
), gap AS (
    SELECT task_id, previous + 1 AS first, sequence - 1 AS last FROM pairs WHERE sequence > previous + 1
), used AS (
    SELECT task_id, jsonb_object_agg(key, total) AS sums FROM (
        SELECT task_id, key, sum(value::numeric) + coalesce((task.usage->>key)::numeric, 0) AS total
        FROM fresh JOIN sent USING (task_id, event_id) JOIN task USING (task_id),
            LATERAL jsonb_each_text(sent.usage)
        GROUP BY task_id, key, task.usage
    ) AS total GROUP BY task_id
), noted AS (
    UPDATE codex_kb.codex_tasks SET last_report_at = now(), reported_attempt = attempt,
        reported_through = coalesce((SELECT min(first) - 1 FROM gap WHERE task_id = id),
            (SELECT max(sequence) FROM pairs WHERE task_id = id), (SELECT through FROM task WHERE task_id = id)),
        usage = usage || coalesce((SELECT sums FROM used WHERE task_id = id), '{}')
    WHERE id = ANY(ARRAY(SELECT DISTINCT task_id FROM fresh))
)
SELECT task_id, attempt, status, finished_at < now() - %(grace)s * interval '1 second' AS forgotten,
    (SELECT count(*) FROM fresh WHERE fresh.task_id = task.task_id) AS accepted,
    CASE WHEN finished_at IS NOT NULL THEN (
        SELECT count((SELECT true FROM codex_kb.codex_task_events AS stored
            WHERE stored.task_id = sent.task_id AND stored.event_id = sent.event_id))
        FROM sent WHERE sent.task_id = task.task_id
    ) END AS known,
    ARRAY(SELECT ARRAY[first, last] FROM gap WHERE gap.task_id = task.task_id ORDER BY first LIMIT 100) AS gaps
FROM task
"""


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one container sent; `events` are JSON objects of the columns that `_RECORD` takes."""

    task: UUID
    attempt: int
    size: int
    events: bytes
    announcement: Event | None


class PgReports:
    """Events and snapshots of runs. Batches that come at the same moment are committed together."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commit = GroupCommit(self._record, lambda batch: [batch.task], _weight, _MOST_AT_ONCE)

    def record(
        self, task: UUID, attempt: int, reports: Sequence[Report], end: End | None, announcement: Event | None
    ) -> Recorded:
        """Stores what is new of a batch, and ends the run if it says so.

        NotFound for an unknown task, Conflict if another attempt has taken over, or if the run has ended and
        the batch brings anything new; Unauthenticated once the grace after its end is over. Events that are
        known already change nothing until then.
        """
        batch = _Batch(task, attempt, len(reports), _encoded(task, reports), announcement)
        if end is None:
            return _recorded(batch, self._commit(batch))

        def work(cursor: Cursor) -> Recorded:
            cursor.execute(_LOCK.encode(), _locking([batch]))
            row = cursor.execute(_RECORD.encode(), _recording([batch])).fetchone()
            recorded = _recorded(batch, row)
            if recorded.accepted:
                runs.finish(cursor, task, attempt, end.state, end.reason, end.result)
                return replace(recorded, status=end.state)
            return recorded

        return self._database.transaction(work)

    def _record(self, batches: Sequence[_Batch]) -> list[Row | None]:
        _, rows = self._database.together((_LOCK, _locking(batches)), (_RECORD, _recording(batches)))
        found = {row["task_id"]: row for row in rows}
        return [found.get(batch.task) for batch in batches]

    def canceled_by(self, task: UUID) -> str | None:
        """Who wanted the task to end; None if nobody did."""
        return runs.canceled_by(self._database, task)


def _locking(batches: Sequence[_Batch]) -> dict[str, Any]:
    timeout = _LOCK_TIMEOUT if len(batches) == 1 else _LOCK_TIMEOUT_OF_MANY
    return {"ids": [batch.task for batch in batches], "lock_timeout": timeout}


def _recording(batches: Sequence[_Batch]) -> dict[str, Any]:
    return {
        "batches": Jsonb([_spoken(batch) for batch in batches]),
        "events": (b"[%s]" % b",".join(batch.events for batch in batches)).decode(),
        "grace": GRACE_SECONDS,
    }


def _spoken(batch: _Batch) -> dict[str, Any]:
    told = outbox.stored(batch.announcement) if batch.announcement else {"id": None, "event": None}
    return {
        "task_id": str(batch.task),
        "spoken_by": batch.attempt,
        "outbox_id": told["id"],
        "outbox_event": told["event"],
    }


def _encoded(task: UUID, reports: Sequence[Report]) -> bytes:
    return b",".join(msgspec.json.encode({"task_id": task, **_columns(report)}) for report in reports)


def _columns(report: Report) -> dict[str, Any]:
    snapshot = report.snapshot
    return {
        "event_id": report.event_id,
        "sequence": report.sequence,
        "event_type": report.event_type,
        "content": report.content,
        "usage": report.usage or None,
        "snapshot": snapshot
        and {"id": snapshot.id, "type": snapshot.type, "content": snapshot.content, "digest": snapshot.digest},
    }


def _weight(batch: _Batch) -> int:
    return 1 + len(batch.events) // _COUNTS_AS_ONE


def _recorded(batch: _Batch, row: Row | None) -> Recorded:
    if row is None:
        raise NotFound("there is no such task")
    if row["attempt"] != batch.attempt:
        raise Conflict("another attempt of this task has taken over")
    if row["forgotten"]:
        raise Unauthenticated(REFUSED)
    state = RunState(row["status"])
    if state.final and row["known"] < batch.size:
        raise Conflict("the run has ended: nothing more is recorded")
    gaps = tuple((first, last) for first, last in row["gaps"])
    return Recorded(row["accepted"], batch.size - row["accepted"], gaps, state)
