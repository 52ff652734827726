"""Runs: the one place that moves a run's state."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shared.domain.memory import Recalled
from shared.domain.run import RunState, predecessors
from shared.domain.task import Cancellation, OpenRun, Run
from shared.events.event import Event
from shared.postgres import inbox, outbox
from shared.postgres.database import Cursor, Database

_RUN = """id, attempt, status, caller, tenant, stage, mode, prompt, repository, base, head, deadline_seconds,
    traceparent"""

_PREPARE = """
UPDATE codex_kb.codex_tasks SET status = 'prepared', updated_at = now()
WHERE id = %(id)s AND status = ANY(%(from)s)
"""

# A run that is being launched already is handed out again: the launch is safe to repeat.
# One that is to be canceled is not handed out any more.
_CLAIM = f"""
WITH claimed AS (
    UPDATE codex_kb.codex_tasks SET status = 'launching', attempt = attempt + 1, updated_at = now()
    WHERE id = %(id)s AND status = ANY(%(from)s) AND cancel_requested_at IS NULL
    RETURNING {_RUN}
)
SELECT {_RUN} FROM claimed
UNION ALL
SELECT {_RUN} FROM codex_kb.codex_tasks WHERE id = %(id)s AND status = 'launching' AND cancel_requested_at IS NULL
"""  # noqa: S608  # the only thing put in is the list of columns above

_LAUNCHED = """
WITH moved AS (
    UPDATE codex_kb.codex_tasks
    SET status = CASE WHEN status = ANY(%(from)s) THEN 'running' ELSE status END,
        launched_at = coalesce(launched_at, now()), kubernetes_job_name = %(resource)s,
        token_hash = %(token_hash)s, updated_at = now()
    WHERE id = %(id)s AND attempt = %(attempt)s
    RETURNING id, status
), told AS (
    INSERT INTO codex_kb.run_events (task_run_id, event_type, payload)
    SELECT id, 'launched', jsonb_build_object('attempt', %(attempt)s::int, 'resource', %(resource)s::text) FROM moved
    ON CONFLICT DO NOTHING
), run AS (
    UPDATE codex_kb.task_runs
    SET status = moved.status, external_run_id = %(resource)s, started_at = coalesce(started_at, now()),
        updated_at = now()
    FROM moved WHERE task_runs.id = moved.id
    RETURNING task_runs.task_id, task_runs.status
)
UPDATE codex_kb.tasks SET state = run.status, updated_at = now() FROM run WHERE tasks.id = run.task_id
"""

_EXPOSE = """
INSERT INTO codex_kb.memory_exposure (task_id, attempt, memory_id, channel, rank, score)
VALUES (%(id)s, %(attempt)s, %(memory_id)s, %(channel)s, %(rank)s, %(score)s)
ON CONFLICT DO NOTHING
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

# Open runs that nothing has moved for a while, with what is due; the database's clock decides.
_OPEN = f"""
SELECT {_RUN},
    status IN ('accepted', 'prepared') AND updated_at < now() - %(stuck)s * interval '1 second'
        OR status = 'launching' AND updated_at < now() - %(slow)s * interval '1 second' AS launch_due,
    status = 'running' AND launched_at + (deadline_seconds + 30) * interval '1 second' < now() AS expired,
    cancel_requested_by
FROM codex_kb.codex_tasks
WHERE finished_at IS NULL AND (%(resource)s::text IS NULL OR kubernetes_job_name = %(resource)s)
    AND (%(id)s::uuid IS NULL OR id = %(id)s)
ORDER BY created_at LIMIT %(limit)s
"""  # noqa: S608  # the only thing put in is the list of columns above


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

    def claim(self, run: UUID) -> Run | None:
        """The run with a fresh attempt, or the attempt that is being launched; None once it runs."""
        row = self._database.one(_CLAIM, {"id": run, "from": predecessors(RunState.LAUNCHING)})
        return _run(row) if row else None

    def launched(
        self,
        run: Run,
        resource: str,
        token_hash: bytes,
        shown: Sequence[Recalled],
        received: Event | None,
        announcement: Event,
    ) -> bool:
        """Notes that the container exists and what it was shown; False if that was noted before."""

        def work(cursor: Cursor) -> bool:
            if received and not inbox.receive(cursor, "dispatcher", received):
                return False
            identity = {"id": run.id, "attempt": run.attempt}
            moved = {"from": predecessors(RunState.RUNNING), "resource": resource, "token_hash": token_hash}
            cursor.execute(_LAUNCHED.encode(), identity | moved)
            for rank, recalled in enumerate(shown, 1):
                memory = {
                    "memory_id": recalled.memory.id,
                    "channel": "prompt",
                    "rank": rank,
                    "score": recalled.score,
                }
                cursor.execute(_EXPOSE.encode(), identity | memory)
            outbox.add(cursor, announcement)
            return True

        return self._database.transaction(work)

    def finish(self, run: Run, state: RunState, reason: str, announcement: Event) -> bool:
        """Ends a run that could not report its own end; False if it had ended already."""

        def work(cursor: Cursor) -> bool:
            moved = finish(cursor, run.id, run.attempt, state, reason, "")
            if moved:
                outbox.add(cursor, announcement)
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
            waits = state in (RunState.ACCEPTED, RunState.PREPARED)
            if waits:
                finish(cursor, run, row["attempt"], RunState.CANCELED, f"canceled by {by}", "")
            outbox.add(cursor, ended if waits else requested)
            return Cancellation(RunState.CANCELED if waits else state, True, fresh=True)

        return self._database.transaction(work)

    def canceled_by(self, run: UUID) -> str | None:
        """Who wanted the run to end; None if nobody did."""
        return canceled_by(self._database, run)

    def open(self, stuck_seconds: float = 60, slow_seconds: float = 30, limit: int = 500) -> list[OpenRun]:
        """Every run that is not finished, oldest first."""
        return self._open({"stuck": stuck_seconds, "slow": slow_seconds, "limit": limit})

    def open_by_resource(self, resource: str) -> OpenRun | None:
        """The unfinished run whose job has this name."""
        return next(iter(self._open({"resource": resource})), None)

    def open_by_id(self, run: UUID) -> OpenRun | None:
        """The run with this id, unless it is finished."""
        return next(iter(self._open({"id": run})), None)

    def _open(self, parameters: dict[str, Any]) -> list[OpenRun]:
        every = {"stuck": 60, "slow": 30, "limit": 1, "resource": None, "id": None}
        rows = self._database.all(_OPEN, every | parameters)
        return [OpenRun(_run(row), row["launch_due"], row["expired"], row["cancel_requested_by"]) for row in rows]


def prepare(cursor: Cursor, run: UUID) -> None:
    """Notes that the run's texts went through the embedder, inside the caller's transaction."""
    cursor.execute(_PREPARE.encode(), {"id": run, "from": predecessors(RunState.PREPARED)})


def _run(row: Any) -> Run:
    fields = {name: row[name] for name in Run.__slots__}
    return Run(**fields | {"status": RunState(row["status"])})
