"""Launches: handed over by leases, briefed once, noted by the holder of the latest epoch alone."""

from uuid import UUID

from shared.domain.errors import InFlight
from shared.domain.offer import Offered
from shared.domain.policy import Verdict
from shared.domain.report import Snapshot
from shared.domain.run import RETRIED_FROM
from shared.domain.task import Run
from shared.events.event import Event
from shared.postgres import memory_trials, outbox, runs
from shared.postgres.database import Cursor, Database, Row
from shared.postgres.runs import RUN, run_of

_RESUME = f"""
UPDATE codex_kb.codex_tasks
SET epoch = epoch + 1, lease_expires_at = now() + %(lease)s * interval '1 second', updated_at = now()
WHERE id = %(id)s AND status = 'launching' AND lease_expires_at <= now() AND cancel_requested_at IS NULL
RETURNING {RUN}
"""  # noqa: S608  # the only thing put in is the list of columns

_PUT_OFF = """
UPDATE codex_kb.codex_tasks SET lease_expires_at = now(), reason = %(reason)s
WHERE id = %(id)s AND attempt = %(attempt)s AND epoch = %(epoch)s AND status = 'launching'
"""

_BRIEF = """
WITH fresh AS (
    INSERT INTO codex_kb.codex_task_briefs (task_id, attempt, prompt) VALUES (%(id)s, %(attempt)s, %(prompt)s)
    ON CONFLICT DO NOTHING RETURNING prompt
), judged AS (
    INSERT INTO codex_kb.policy_checks (id, idea_id, task_run_id, policy_key, status, metadata)
    SELECT %(check_id)s, tasks.idea_id, task_runs.id, %(rule)s, 'allowed', %(judgement)s
    FROM codex_kb.task_runs JOIN codex_kb.tasks ON tasks.id = task_runs.task_id
    WHERE task_runs.id = %(id)s ON CONFLICT DO NOTHING
)
SELECT prompt, true AS fresh FROM fresh
UNION ALL
SELECT prompt, false FROM codex_kb.codex_task_briefs WHERE task_id = %(id)s AND attempt = %(attempt)s
"""

_NOTE = """
UPDATE codex_kb.codex_tasks SET reason = %(reason)s
WHERE id = %(id)s AND attempt = %(attempt)s AND status = 'running' AND reason <> %(reason)s
"""

_DELIVERY = "SELECT delivery FROM codex_kb.codex_tasks WHERE id = %(id)s"

_TAKEN = "SELECT content FROM codex_kb.codex_task_snapshots WHERE id = %(id)s"

# A repeat by the same holder finds it noted; whoever holds an earlier epoch moves nothing.
_LAUNCHED = """
WITH moved AS (
    UPDATE codex_kb.codex_tasks
    SET status = 'running', reason = '', launched_at = coalesce(launched_at, now()), token_hash = %(token_hash)s,
        kubernetes_job_name = CASE mode WHEN 'argo' THEN NULL ELSE %(resource)s END,
        argo_workflow_name = CASE mode WHEN 'argo' THEN %(resource)s END, updated_at = now()
    WHERE id = %(id)s AND attempt = %(attempt)s AND epoch = %(epoch)s AND status IN ('launching', 'running')
        AND cancel_requested_at IS NULL
    RETURNING id
), told AS (
    INSERT INTO codex_kb.run_events (task_run_id, event_type, payload)
    SELECT id, 'launched', jsonb_build_object('attempt', %(attempt)s::int, 'resource', %(resource)s::text) FROM moved
    ON CONFLICT DO NOTHING
), run AS (
    UPDATE codex_kb.task_runs
    SET status = 'running', external_run_id = %(resource)s, started_at = coalesce(started_at, now()),
        updated_at = now()
    FROM moved WHERE task_runs.id = moved.id
    RETURNING task_runs.id, task_runs.task_id
), task AS (
    UPDATE codex_kb.tasks SET state = 'running', updated_at = now() FROM run WHERE tasks.id = run.task_id
), announced AS (
    INSERT INTO codex_kb.outbox (id, event) SELECT %(event_id)s, %(event)s FROM moved ON CONFLICT DO NOTHING
)
SELECT id FROM moved
"""

# The attempt is raised at once: what the last one still reports is refused from now on.
_RETRY = """
WITH moved AS (
    UPDATE codex_kb.codex_tasks
    SET status = 'queued', attempt = attempt + 1, not_before = now() + %(wait)s * interval '1 second',
        reason = %(reason)s, launched_at = NULL, claimed_at = NULL, lease_expires_at = NULL,
        kubernetes_job_name = NULL, argo_workflow_name = NULL, updated_at = now()
    WHERE id = %(id)s AND attempt = %(attempt)s AND status = ANY(%(from)s) AND cancel_requested_at IS NULL
    RETURNING id
), told AS (
    INSERT INTO codex_kb.run_events (task_run_id, event_type, payload)
    SELECT id, 'attempt ended', jsonb_build_object('ended', %(attempt)s::int, 'reason', %(reason)s::text) FROM moved
), run AS (
    UPDATE codex_kb.task_runs SET status = 'queued', retry_count = retry_count + 1, updated_at = now()
    FROM moved WHERE task_runs.id = moved.id
    RETURNING task_runs.task_id
), task AS (
    UPDATE codex_kb.tasks SET state = 'queued', updated_at = now() FROM run WHERE tasks.id = run.task_id
)
SELECT id FROM moved
"""


class PgLaunches:
    """Launches in progress. Every method may be repeated by whoever holds the launch."""

    def __init__(self, database: Database, lease_seconds: float = 30.0) -> None:
        self._database = database
        self._lease_seconds = lease_seconds

    def resume(self, run: UUID) -> Run | None:
        """The run with the next epoch, if its launch has begun and nobody holds it any more."""
        row = self._database.one(_RESUME, {"id": run, "lease": self._lease_seconds})
        return run_of(row) if row else None

    def put_off(self, run: Run, reason: str) -> None:
        """Gives the launch back for anybody to resume; `reason` is shown meanwhile."""
        self._database.do(_PUT_OFF, runs.identity(run) | {"reason": reason})

    def brief(self, run: Run, prompt: str, offered: Offered | None, before: Snapshot | None, verdict: Verdict) -> str:
        """The prompt file of the attempt: this one, kept with all that led to it, or the one that was kept first."""
        parameters = runs.identity(run) | {"prompt": prompt} | runs.judgement(run, verdict)

        def work(cursor: Cursor) -> Row | None:
            row = cursor.execute(_BRIEF.encode(), parameters).fetchone()
            if row and row["fresh"]:
                _note(cursor, run, offered, before)
            return row

        # With nothing else to note it is one statement.
        row = self._database.transaction(work) if offered or before else self._database.one(_BRIEF, parameters)
        if row is None:
            raise InFlight("another dispatcher is just briefing the same attempt: try again")
        if offered and row["fresh"]:
            memory_trials.count("prompt", offered)
        return str(row["prompt"])

    def launched(self, run: Run, resource: str, token_hash: bytes, announcement: Event) -> bool:
        """Notes that the job may run; False if the launch is another's by now, or the run is to be canceled."""
        columns = {"resource": resource, "token_hash": token_hash}
        event = {f"event_{name}" if name == "id" else name: text for name, text in outbox.stored(announcement).items()}
        return self._database.one(_LAUNCHED, runs.identity(run) | columns | event) is not None

    def retry(self, run: Run, reason: str, wait_seconds: float) -> bool:
        """Queues the next attempt; False if this one is over already, or the run is to be canceled."""
        parameters = runs.identity(run) | {"from": [*RETRIED_FROM], "reason": reason, "wait": wait_seconds}
        return self._database.one(_RETRY, parameters) is not None

    def note(self, run: Run, reason: str) -> None:
        """Shows why a container that may run does not."""
        self._database.do(_NOTE, runs.identity(run) | {"reason": reason})

    def delivery(self, run: UUID) -> bytes | None:
        """The protobuf that asked for the run; None if it came otherwise."""
        row = self._database.one(_DELIVERY, {"id": run})
        return row["delivery"] if row else None

    def snapshot(self, id_: UUID) -> str | None:
        """The content of a snapshot; None if it was not taken."""
        row = self._database.one(_TAKEN, {"id": id_})
        return row["content"] if row else None


def _note(cursor: Cursor, run: Run, offered: Offered | None, before: Snapshot | None) -> None:
    if offered:
        memory_trials.hold(cursor, run.id)
        memory_trials.note(cursor, run.id, run.attempt, "prompt", offered)
    if before:
        runs.keep_snapshot(cursor, run, before, "")
