"""Runs: the one place that moves a run's state."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.domain.ids import stable_id
from shared.domain.policy import Verdict
from shared.domain.report import Snapshot
from shared.domain.run import RunState, predecessors
from shared.domain.task import Cancellation, EndedRun, OpenRun, Run, Target
from shared.events.event import Event
from shared.postgres import outbox
from shared.postgres.database import Cursor, Database, Row

RUN = """id, attempt, status, caller, tenant, stage, mode, prompt, repository, base, head, deadline_seconds,
    traceparent, epoch, namespace, targets, metadata, orchestration"""

_PREPARE = """
UPDATE codex_kb.codex_tasks SET status = 'prepared', updated_at = now()
WHERE id = %(id)s AND status = ANY(%(from)s)
"""

_FINISH = """
WITH moved AS (
    UPDATE codex_kb.codex_tasks
    SET status = %(to)s, reason = %(reason)s, result = %(result)s, finished_at = now(), updated_at = now()
    WHERE id = %(id)s AND attempt = %(attempt)s AND status = ANY(%(from)s)
    RETURNING id
), told AS (
    INSERT INTO codex_kb.run_events (task_run_id, event_type, payload)
    SELECT id, %(to)s, jsonb_build_object('reason', %(reason)s::text, 'result', %(result)s::text) FROM moved
), run AS (
    UPDATE codex_kb.task_runs
    SET status = %(to)s, completed_at = now(), updated_at = now(),
        error_code = CASE WHEN %(to)s = 'succeeded' THEN NULL ELSE %(to)s END
    FROM moved WHERE task_runs.id = moved.id
    RETURNING task_runs.task_id
)
UPDATE codex_kb.tasks SET state = %(to)s, updated_at = now() FROM run WHERE tasks.id = run.task_id
"""

# Locked: a run that is claimed or ended meanwhile is seen as it is then.
_LOCK = """
SELECT id, attempt, status, cancel_requested_at IS NOT NULL AS requested FROM codex_kb.codex_tasks
WHERE id = %(id)s AND tenant = %(tenant)s FOR UPDATE
"""

_REQUEST_CANCEL = """
WITH wanted AS (
    UPDATE codex_kb.codex_tasks SET cancel_requested_at = now(), cancel_requested_by = %(by)s WHERE id = %(id)s
    RETURNING id
)
INSERT INTO codex_kb.run_events (task_run_id, event_type, actor, payload)
SELECT id, 'cancel requested', %(by)s, jsonb_build_object('caller', %(by)s::text) FROM wanted
"""

_CANCELED_BY = "SELECT cancel_requested_by FROM codex_kb.codex_tasks WHERE id = %(id)s"

# What waits in the queue is the queue's. The database's clock decides what is due.
_OPEN = f"""
SELECT {RUN},
    status IN ('accepted', 'prepared') AND updated_at < now() - %(stuck)s * interval '1 second'
        OR status = 'launching' AND lease_expires_at <= now() AS launch_due,
    status = 'running' AND launched_at + (deadline_seconds + 30) * interval '1 second' < now() AS expired,
    cancel_requested_by, coalesce(extract(epoch FROM now() - coalesce(launched_at, claimed_at)), 0)::float AS waited
FROM codex_kb.codex_tasks
WHERE finished_at IS NULL
    AND (%(resource)s::text IS NULL OR coalesce(argo_workflow_name, kubernetes_job_name) = %(resource)s)
    AND (%(id)s::uuid IS NULL OR id = %(id)s)
    AND (cancel_requested_by IS NOT NULL OR status IN ('launching', 'running')
        OR status <> 'queued' AND (%(id)s::uuid IS NOT NULL
            OR updated_at < now() - %(stuck)s * interval '1 second'))
ORDER BY created_at LIMIT %(limit)s
"""  # noqa: S608  # the only thing put in is the list of columns above

_UNSETTLED = f"""
SELECT {RUN}, launched_at IS NOT NULL OR claimed_at IS NOT NULL AS launched,
    extract(epoch FROM now() - finished_at)::float AS ended
FROM codex_kb.codex_tasks
WHERE finished_at IS NOT NULL AND settled_at IS NULL
    AND (%(resource)s::text IS NULL OR coalesce(argo_workflow_name, kubernetes_job_name) = %(resource)s)
ORDER BY finished_at LIMIT %(limit)s
"""  # noqa: S608  # the only thing put in is the list of columns above

_SETTLED = """
UPDATE codex_kb.codex_tasks SET settled_at = now(), updated_at = now() WHERE id = %(id)s AND settled_at IS NULL
"""

_WHERE_THEY_STAND = "SELECT id, attempt, status FROM codex_kb.codex_tasks WHERE id = ANY(%(ids)s::uuid[])"

_JUDGED = """
INSERT INTO codex_kb.policy_checks (id, idea_id, task_run_id, policy_key, status, metadata)
SELECT %(check_id)s, tasks.idea_id, task_runs.id, %(rule)s, 'denied', %(judgement)s
FROM codex_kb.task_runs JOIN codex_kb.tasks ON tasks.id = task_runs.task_id
WHERE task_runs.id = %(id)s ON CONFLICT DO NOTHING
"""

_SNAPSHOT = """
WITH taken AS (
    INSERT INTO codex_kb.codex_task_snapshots (id, task_id, attempt, type, content, digest, diff, taken_by)
    VALUES (%(snapshot_id)s, %(id)s, %(attempt)s, %(type)s, %(content)s, %(digest)s, %(diff)s, 'cluster')
    ON CONFLICT DO NOTHING RETURNING task_id
)
INSERT INTO codex_kb.run_events (task_run_id, event_type, payload)
SELECT task_id, 'snapshot ' || %(type)s::text, jsonb_build_object('attempt', %(attempt)s::int,
    'digest', %(digest)s::text, 'diff', left(%(diff)s::text, 4000))
FROM taken
"""


def finish(cursor: Cursor, run: UUID, attempt: int, state: RunState, reason: str, result: str) -> bool:
    """Ends a run once, inside the caller's transaction; False if it had ended or another attempt runs."""
    parameters = {
        "id": run,
        "attempt": attempt,
        "to": state.value,
        "from": predecessors(state),
        "reason": reason,
        "result": result,
    }
    return cursor.execute(_FINISH.encode(), parameters).rowcount == 1


def canceled_by(database: Database, run: UUID) -> str | None:
    """Who wanted the run to end; None if nobody did."""
    row = database.one(_CANCELED_BY, {"id": run})
    return row["cancel_requested_by"] if row else None


class PgRuns:
    """Runs, as they are moved."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def finish(
        self, run: Run, state: RunState, reason: str, announcement: Event, verdict: Verdict | None = None
    ) -> bool:
        """Ends a run that could not report its own end, because of a verdict maybe; False if it had ended already."""

        def work(cursor: Cursor) -> bool:
            moved = finish(cursor, run.id, run.attempt, state, reason, "")
            if moved:
                outbox.add(cursor, announcement)
            if moved and verdict:
                cursor.execute(_JUDGED.encode(), identity(run) | judgement(run, verdict))
            return moved

        return self._database.transaction(work)

    def cancel(self, run: UUID, tenant: str, by: str, requested: Event, ended: Event) -> Cancellation | None:
        """Ends a run that is not launched, with `ended`; asks for the end of one that may be, with `requested`.

        None if the tenant has no such run. A run that is over, or to be canceled already, stays as it is.
        """

        def work(cursor: Cursor) -> Cancellation | None:
            row = cursor.execute(_LOCK.encode(), {"id": run, "tenant": tenant}).fetchone()
            if row is None:
                return None
            state = RunState(row["status"])
            if state.final or row["requested"]:
                return Cancellation(state, row["requested"], fresh=False)
            cursor.execute(_REQUEST_CANCEL.encode(), {"id": run, "by": by})
            waits = state in (RunState.ACCEPTED, RunState.PREPARED, RunState.QUEUED)
            if waits:
                finish(cursor, run, row["attempt"], RunState.CANCELED, f"canceled by {by}", "")
            outbox.add(cursor, ended if waits else requested)
            return Cancellation(RunState.CANCELED if waits else state, True, fresh=True)

        return self._database.transaction(work)

    def open(self, stuck_seconds: float = 60, limit: int = 5000) -> list[OpenRun]:
        """Runs that are launching, running, to be canceled, or waiting for what should have come; oldest first."""
        return self._open({"stuck": stuck_seconds, "limit": limit})

    def open_by_resource(self, resource: str) -> OpenRun | None:
        """The unfinished run whose job has this name."""
        return next(iter(self._open({"resource": resource})), None)

    def open_by_id(self, run: UUID) -> OpenRun | None:
        """The run with this id, unless it is finished or queued."""
        return next(iter(self._open({"id": run})), None)

    def unsettled(self, resource: str | None = None, limit: int = 1000) -> list[EndedRun]:
        """Runs that are over and not settled, of all or of the job with this name; the longest over first."""
        rows = self._database.all(_UNSETTLED, {"resource": resource, "limit": limit})
        return [EndedRun(run_of(row), row["launched"], row["ended"]) for row in rows]

    def settle(self, run: Run, after: Snapshot | None, diff: str) -> None:
        """Notes that what follows the end was done, and keeps the snapshot after it."""

        def work(cursor: Cursor) -> None:
            if after:
                keep_snapshot(cursor, run, after, diff)
            cursor.execute(_SETTLED.encode(), identity(run))

        self._database.transaction(work)

    def where_they_stand(self, runs: Sequence[UUID]) -> dict[UUID, tuple[int, RunState]]:
        """Attempt and state of those of the runs that there are."""
        rows = self._database.all(_WHERE_THEY_STAND, {"ids": list(runs)}) if runs else []
        return {row["id"]: (row["attempt"], RunState(row["status"])) for row in rows}

    def _open(self, parameters: dict[str, Any]) -> list[OpenRun]:
        every = {"stuck": 60, "limit": 1, "resource": None, "id": None}
        return [
            OpenRun(run_of(row), row["launch_due"], row["expired"], row["cancel_requested_by"], row["waited"])
            for row in self._database.all(_OPEN, every | parameters)
        ]


def prepare(cursor: Cursor, run: UUID) -> None:
    """Notes that the run's texts went through the embedder, inside the caller's transaction."""
    cursor.execute(_PREPARE.encode(), {"id": run, "from": predecessors(RunState.PREPARED)})


def keep_snapshot(cursor: Cursor, run: Run, snapshot: Snapshot, diff: str) -> None:
    """Keeps a snapshot that the dispatcher took, once, inside the caller's transaction."""
    columns = {
        "snapshot_id": snapshot.id,
        "type": snapshot.type,
        "content": snapshot.content,
        "digest": snapshot.digest,
        "diff": diff,
    }
    cursor.execute(_SNAPSHOT.encode(), identity(run) | columns)


def judgement(run: Run, verdict: Verdict) -> dict[str, Any]:
    """The columns of `policy_checks` for one attempt."""
    said = {"policy": verdict.version, "attempt": run.attempt, "reason": verdict.reason}
    check = stable_id("policy check", str(run.id), str(run.attempt))
    return {"check_id": check, "rule": verdict.rule, "judgement": Jsonb(said)}


def identity(run: Run) -> dict[str, Any]:
    """What a statement needs to find the run as its holder knows it."""
    return {"id": run.id, "attempt": run.attempt, "epoch": run.epoch}


def run_of(row: Row) -> Run:
    """The run of a row with the columns `RUN`."""
    fields = {name: row[name] for name in Run.__slots__}
    targets = tuple(
        Target(each["apiVersion"], each["kind"], each.get("namespace", ""), each.get("name", ""))
        for each in row["targets"]
    )
    return Run(**fields | {"status": RunState(row["status"]), "targets": targets})
