"""The queue of runs: who is launched next, under caps. Postgres alone decides."""

from typing import Any
from uuid import UUID

from shared.domain.run import RunState, predecessors
from shared.domain.task import Caps, Run
from shared.postgres.database import Database
from shared.postgres.runs import RUN, run_of

# Until the end of the transaction nobody else is let in, so that nobody counts what is just being admitted. All wait
# for the disk meanwhile: who makes a job for a claim that a crash of the server takes back would find that it came
# too late, and take the job back that the next claim finds under the same name.
_ALONE = """
alone AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended('facteur queue', 0)))"""
_WAIT = f"WITH {_ALONE} SELECT true FROM alone"  # noqa: S608  # the only thing put in is a constant

# What waits longest comes first; a point of priority is worth a minute.
_ENTER = f"""
WITH {_ALONE}, queued AS (
    UPDATE codex_kb.codex_tasks
    SET status = 'queued', updated_at = now(), turn = extract(epoch FROM created_at) - 60.0 * priority,
        namespace = CASE mode WHEN 'argo' THEN coalesce(orchestration->>'namespace', '') ELSE %(namespace)s END
    WHERE id = %(id)s AND status = ANY(%(from)s) AND cancel_requested_at IS NULL
    RETURNING {RUN}
), found AS (
    SELECT {RUN} FROM queued
    UNION ALL
    SELECT {RUN} FROM codex_kb.codex_tasks WHERE id = %(id)s AND status = 'queued' AND cancel_requested_at IS NULL
)
SELECT found.* FROM alone LEFT JOIN found ON true
"""  # noqa: S608  # the only things put in are constants

_FULL = """
active AS MATERIALIZED (
    SELECT caller, namespace, branch FROM codex_kb.codex_tasks
    WHERE %(capped)s AND status IN ('launching', 'running')
), full_callers AS MATERIALIZED (
    SELECT caller, count(*) AS runs FROM active GROUP BY caller
    HAVING %(per_caller)s > 0 AND count(*) >= %(per_caller)s
), full_namespaces AS MATERIALIZED (
    SELECT namespace, count(*) AS runs FROM active WHERE namespace <> '' GROUP BY namespace
    HAVING %(per_namespace)s > 0 AND count(*) >= %(per_namespace)s
), full_branches AS MATERIALIZED (
    SELECT branch, count(*) AS runs FROM active WHERE branch <> '' GROUP BY branch
    HAVING %(per_branch)s > 0 AND count(*) >= %(per_branch)s
)"""

_ADMIT = f"""
WITH {_FULL}, next AS (
    SELECT id FROM codex_kb.codex_tasks AS waiting
    WHERE status = 'queued' AND cancel_requested_at IS NULL AND not_before <= now()
        AND (%(total)s = 0 OR (SELECT count(*) FROM active) < %(total)s)
        AND NOT EXISTS (SELECT FROM full_callers WHERE full_callers.caller = waiting.caller)
        AND NOT EXISTS (SELECT FROM full_namespaces WHERE full_namespaces.namespace = waiting.namespace)
        AND NOT EXISTS (SELECT FROM full_branches WHERE full_branches.branch = waiting.branch)
    ORDER BY turn, id LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE codex_kb.codex_tasks AS task
SET status = 'launching', attempt = greatest(attempt, 1), epoch = epoch + 1, claimed_at = now(),
    lease_expires_at = now() + %(lease)s * interval '1 second', reason = '', updated_at = now()
FROM next WHERE task.id = next.id
RETURNING {", ".join(f"task.{column.strip()}" for column in RUN.split(","))}
"""  # noqa: S608  # the only things put in are constants

# Why each waits, or that it is its turn soon; what was said already is not said again.
_EXPLAIN = f"""
WITH {_FULL}, explained AS (
    SELECT waiting.id, CASE
        WHEN waiting.not_before > now() THEN coalesce(nullif(waiting.reason, ''), 'it is launched again later')
        WHEN full_branches.runs IS NOT NULL THEN format('waits: %%s of %%s runs of branch %%s are active',
            full_branches.runs, %(per_branch)s::int, waiting.branch)
        WHEN full_callers.runs IS NOT NULL THEN format('waits: %%s of %%s runs of caller %%s are active',
            full_callers.runs, %(per_caller)s::int, waiting.caller)
        WHEN full_namespaces.runs IS NOT NULL THEN format('waits: %%s of %%s runs in namespace %%s are active',
            full_namespaces.runs, %(per_namespace)s::int, waiting.namespace)
        WHEN %(total)s > 0 AND (SELECT count(*) FROM active) >= %(total)s THEN format(
            'waits: %%s of %%s runs are active', (SELECT count(*) FROM active), %(total)s::int)
        ELSE 'waits for its turn' END AS why
    FROM codex_kb.codex_tasks AS waiting
    LEFT JOIN full_callers ON full_callers.caller = waiting.caller
    LEFT JOIN full_namespaces ON full_namespaces.namespace = waiting.namespace
    LEFT JOIN full_branches ON full_branches.branch = waiting.branch
    WHERE waiting.status = 'queued' AND (%(id)s::uuid IS NULL OR waiting.id = %(id)s)
)
UPDATE codex_kb.codex_tasks AS task SET reason = why FROM explained
WHERE task.id = explained.id AND task.status = 'queued' AND task.reason <> why
"""  # noqa: S608  # the only things put in are constants


class PgQueue:
    """Runs that wait for their launch, in order: by priority, which waiting raises."""

    def __init__(self, database: Database, caps: Caps, namespace: str = "", lease_seconds: float = 30.0) -> None:
        """`namespace` is where jobs of mode direct run; a launch is handed out for `lease_seconds`."""
        self._database = database
        self._namespace = namespace
        self._limits: dict[str, Any] = {
            "total": caps.total,
            "per_namespace": caps.per_namespace,
            "per_caller": caps.per_caller,
            "per_branch": caps.per_branch,
            "capped": caps != Caps(0, 0, 0, 0),
            "lease": lease_seconds,
        }

    def enter(self, run: UUID) -> tuple[Run | None, Run | None]:
        """The run, now in the queue, and whose turn it is, claimed for its launch: itself or another.

        The first is None once the run is launching or over, or to be canceled; the second while none
        fits under the caps.
        """
        parameters = {"id": run, "from": predecessors(RunState.QUEUED), "namespace": self._namespace}
        queued, admitted = self._database.together((_ENTER, parameters), (_ADMIT, self._limits))
        return next((run_of(row) for row in queued if row["id"]), None), next(map(run_of, admitted), None)

    def admit(self) -> Run | None:
        """The run whose turn it is, claimed for its launch; None while none fits under the caps."""
        _, admitted = self._database.together((_WAIT, {}), (_ADMIT, self._limits))
        return next(map(run_of, admitted), None)

    def explain(self, run: UUID | None = None) -> None:
        """Says in the status of one queued run, or of all, why it waits."""
        self._database.do(_EXPLAIN, self._limits | {"id": run})
