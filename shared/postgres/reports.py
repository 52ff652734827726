"""What containers report, recorded once per event id."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.domain.errors import Conflict, NotFound
from shared.domain.report import End, Recorded, Report, Upload
from shared.domain.run import RunState
from shared.events.event import Event
from shared.postgres import outbox, runs
from shared.postgres.database import Cursor, Database

# Locked: two batches of one run are recorded one after the other.
_LOCK = "SELECT attempt, status, traceparent FROM codex_kb.codex_tasks WHERE id = %(id)s FOR UPDATE"

_KNOWN = "SELECT event_id FROM codex_kb.codex_task_events WHERE task_id = %(id)s AND event_id = ANY(%(event_ids)s)"

_EVENT = """
INSERT INTO codex_kb.codex_task_events (task_id, attempt, event_id, sequence, event_type, content)
VALUES (%(id)s, %(attempt)s, %(event_id)s, %(sequence)s, %(event_type)s, %(content)s)
"""

_SNAPSHOT = """
INSERT INTO codex_kb.codex_task_snapshots (id, task_id, attempt, type, content, digest)
VALUES (%(snapshot_id)s, %(id)s, %(attempt)s, %(type)s, %(text)s, %(digest)s)
"""

_USAGE = "UPDATE codex_kb.codex_tasks SET usage = usage || %(usage)s WHERE id = %(id)s"

_GAPS = """
SELECT previous + 1 AS first, sequence - 1 AS last FROM (
    SELECT sequence, lag(sequence, 1, 0) OVER (ORDER BY sequence) AS previous
    FROM codex_kb.codex_task_events WHERE task_id = %(id)s AND attempt = %(attempt)s
) AS pairs
WHERE sequence > previous + 1 ORDER BY first LIMIT 100
"""

_UPLOAD = """
INSERT INTO codex_kb.codex_task_uploads (id, task_id, attempt, name, size, sha256, content_type, key)
VALUES (%(upload_id)s, %(id)s, %(attempt)s, %(name)s, %(size)s, %(sha256)s, %(content_type)s, %(key)s)
ON CONFLICT (id) DO NOTHING
"""

_FIND_UPLOAD = """
SELECT id, name, size, sha256, content_type, key FROM codex_kb.codex_task_uploads
WHERE id = %(upload_id)s AND task_id = %(id)s
"""

_COMMIT = """
INSERT INTO codex_kb.artifacts (id, task_run_id, artifact_type, uri, checksum, metadata)
VALUES (%(upload_id)s, %(id)s, 'file', %(uri)s, %(sha256)s, %(metadata)s)
ON CONFLICT (id) DO NOTHING
"""


class PgReports:
    """Events, snapshots and uploads of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, task: UUID, attempt: int, reports: Sequence[Report], end: End | None, announcement: Event | None
    ) -> Recorded:
        """Stores what is new of a batch, and ends the run if it says so.

        Conflict if another attempt has taken over, or if the run has ended and the batch brings
        anything new. Events that are known already change nothing, whatever the state.
        """

        def work(cursor: Cursor) -> Recorded:
            identity = {"id": task, "attempt": attempt}
            state = self._locked_state(cursor, identity)
            known = self._known(cursor, task, reports)
            fresh = [report for report in reports if report.event_id not in known]
            if fresh and state.final:
                raise Conflict("the run has ended: nothing more is recorded")
            for report in fresh:
                _store(cursor, identity, report)
            if fresh and end:
                runs.finish(cursor, task, attempt, end.state, end.reason, end.result)
                state = end.state
            if fresh and announcement:
                outbox.add(cursor, announcement)
            gaps = cursor.execute(_GAPS.encode(), identity).fetchall()
            ranges = tuple((gap["first"], gap["last"]) for gap in gaps)
            return Recorded(len(fresh), len(reports) - len(fresh), ranges, state)

        return self._database.transaction(work)

    @staticmethod
    def _locked_state(cursor: Cursor, identity: dict[str, Any]) -> RunState:
        row = cursor.execute(_LOCK.encode(), identity).fetchone()
        if row is None:
            raise NotFound("there is no such task")
        if row["attempt"] != identity["attempt"]:
            raise Conflict("another attempt of this task has taken over")
        return RunState(row["status"])

    @staticmethod
    def _known(cursor: Cursor, task: UUID, reports: Sequence[Report]) -> set[str]:
        parameters = {"id": task, "event_ids": [report.event_id for report in reports]}
        return {row["event_id"] for row in cursor.execute(_KNOWN.encode(), parameters).fetchall()}

    def canceled_by(self, task: UUID) -> str | None:
        """Who wanted the task to end; None if nobody did."""
        return runs.canceled_by(self._database, task)

    def begin_upload(self, task: UUID, attempt: int, upload: Upload) -> None:
        """Notes an upload that was promised; the same one twice is once. Conflict once the attempt is over."""

        def work(cursor: Cursor) -> None:
            identity = {"id": task, "attempt": attempt}
            if self._locked_state(cursor, identity).final:
                raise Conflict("the run has ended: nothing more is kept")
            cursor.execute(_UPLOAD.encode(), identity | _upload_columns(task, upload))

        self._database.transaction(work)

    def upload(self, task: UUID, upload_id: UUID) -> Upload:
        """An upload that was promised; NotFound if it was not."""
        row = self._database.one(_FIND_UPLOAD, {"id": task, "upload_id": upload_id})
        if row is None:
            raise NotFound("there is no such artifact")
        return Upload(**row)

    def commit_upload(self, task: UUID, upload: Upload, uri: str) -> None:
        """Makes a verified upload an artifact; twice is once."""
        metadata = {
            "name": upload.name,
            "size": upload.size,
            "contentType": upload.content_type,
            "key": upload.key,
        }
        columns = _upload_columns(task, upload) | {"uri": uri, "metadata": Jsonb(metadata)}
        self._database.do(_COMMIT, columns)


def _store(cursor: Cursor, identity: dict[str, Any], report: Report) -> None:
    columns = {
        "event_id": report.event_id,
        "sequence": report.sequence,
        "event_type": report.event_type,
        "content": Jsonb(report.content),
    }
    cursor.execute(_EVENT.encode(), identity | columns)
    if report.snapshot:
        snapshot = report.snapshot
        values = {
            "snapshot_id": snapshot.id,
            "type": snapshot.type,
            "text": snapshot.content,
            "digest": snapshot.digest,
        }
        cursor.execute(_SNAPSHOT.encode(), identity | values)
    if report.usage:
        cursor.execute(_USAGE.encode(), identity | {"usage": Jsonb(dict(report.usage))})


def _upload_columns(task: UUID, upload: Upload) -> dict[str, Any]:
    return {
        "id": task,
        "upload_id": upload.id,
        "name": upload.name,
        "size": upload.size,
        "sha256": upload.sha256,
        "content_type": upload.content_type,
        "key": upload.key,
    }
