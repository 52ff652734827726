"""What finished tasks teach: of each memory that they were offered, and of whether memory helps in their scope.

An outcome that becomes known, or another one, is added to sums as what it differs by. So it may be told any number of
times, and nothing is read but the task's own rows.
"""

import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared import telemetry
from shared.domain.errors import FacteurError
from shared.domain.lift import Sums
from shared.domain.offer import Arm
from shared.domain.outcome import Judgement, Outcome, success
from shared.domain.run import RunState
from shared.domain.scope_lift import Arms, ScopeLift
from shared.postgres.database import Cursor, Database, Row
from shared.postgres.memory_trials import hold

log = logging.getLogger(__name__)

# Undoing a task, once there is that, is an event of its run. A sum of costs may be beyond any float. What was offered
# first when the task was over could change nothing.
_FACTS = """
SELECT trial.base, trial.success, trial.duration_seconds, trial.cost_usd, task.status, trial.tenant, trial.repository,
    task.finished_at AS ended, extract(epoch FROM task.finished_at - trial.decided_at)::float AS seconds,
    CASE WHEN jsonb_typeof(task.usage->'costUsd') = 'number'
        THEN least((task.usage->>'costUsd')::numeric, 1e12)::float END AS dollars,
    EXISTS (SELECT FROM codex_kb.policy_checks
        WHERE task_run_id = task.id AND policy_checks.status IN ('failed', 'denied')) AS failed_gate,
    EXISTS (SELECT FROM codex_kb.run_events WHERE task_run_id = task.id AND event_type = 'undone') AS undone,
    (SELECT payload->>'verdict' FROM codex_kb.run_events WHERE task_run_id = task.id AND event_type = 'verdict'
        ORDER BY id DESC LIMIT 1) AS verdict
FROM codex_kb.memory_trials AS trial JOIN codex_kb.codex_tasks AS task ON task.id = trial.task_id
WHERE trial.task_id = %(task)s AND trial.decided_at <= task.finished_at
"""

# Nothing is learned of what is being forgotten: of what is there still, the rows stay until the end. They are locked in
# the order of their ids, so that no two who learn wait for each other.
_THERE = """
SELECT id FROM codex_kb.codex_task_memory_index
WHERE id IN (SELECT memory_id FROM codex_kb.memory_exposure WHERE task_id = %(task)s) ORDER BY id FOR KEY SHARE
"""
_LEARN = """
WITH trial AS (
    UPDATE codex_kb.memory_trials SET success = %(success)s, duration_seconds = %(seconds)s, cost_usd = %(dollars)s
    WHERE task_id = %(task)s RETURNING *
), summed AS (
    INSERT INTO codex_kb.memory_sums AS known (tenant, repository, round, topic, arm, share, tasks, success,
        success_squares, durations, duration, duration_squares, costs, cost, cost_squares)
    SELECT tenant, repository, round, topic, arm, share, %(tasks)s::int, %(total)s::float, %(squares)s::float,
        %(durations)s::int, %(duration)s::float, %(duration_squares)s::float,
        %(costs)s::int, %(cost)s::float, %(cost_squares)s::float FROM trial
    ON CONFLICT (tenant, repository, round, topic, arm, share) DO UPDATE SET
        tasks = known.tasks + EXCLUDED.tasks, success = known.success + EXCLUDED.success,
        success_squares = known.success_squares + EXCLUDED.success_squares,
        durations = known.durations + EXCLUDED.durations, duration = known.duration + EXCLUDED.duration,
        duration_squares = known.duration_squares + EXCLUDED.duration_squares,
        costs = known.costs + EXCLUDED.costs, cost = known.cost + EXCLUDED.cost,
        cost_squares = known.cost_squares + EXCLUDED.cost_squares
)
INSERT INTO codex_kb.memory_effects AS known (memory_id, information, credit)
SELECT memory_id, %(tasks)s::int * propensity * (1 - propensity), (shown::int - propensity) * %(surprise)s::float FROM (
    SELECT DISTINCT ON (memory_id) memory_id, propensity, shown
    FROM codex_kb.memory_exposure JOIN trial USING (task_id) WHERE shown_at <= %(ended)s::timestamptz
    ORDER BY memory_id, shown_at
) AS toss ORDER BY memory_id
ON CONFLICT (memory_id) DO UPDATE
    SET information = known.information + EXCLUDED.information, credit = known.credit + EXCLUDED.credit
"""

_UNKNOWN = """
SELECT trial.task_id FROM codex_kb.memory_trials AS trial JOIN codex_kb.codex_tasks AS task ON task.id = trial.task_id
WHERE trial.success IS NULL AND trial.decided_at <= task.finished_at
    AND task.finished_at <= now() - %(seconds)s::float * interval '1 second'
ORDER BY trial.decided_at LIMIT %(limit)s
"""

# Since a scope was last switched on. One that is off is told even without a sum.
_LIFT = """
SELECT tenant, repository, scope.off_since, coalesce(scope.off_why, '') AS off_why, arm, share,
    sum(tasks)::int AS tasks, sum(success) AS success, sum(success_squares) AS success_squares,
    sum(durations)::int AS durations, sum(duration) AS duration, sum(duration_squares) AS duration_squares,
    sum(costs)::int AS costs, sum(cost) AS cost, sum(cost_squares) AS cost_squares
FROM codex_kb.memory_sums AS sums FULL JOIN codex_kb.memory_scopes AS scope USING (tenant, repository, round)
WHERE (%(tenant)s::text IS NULL OR tenant = %(tenant)s)
    AND (%(repository)s::text IS NULL OR repository = left(%(repository)s, 300))
    AND (scope.tenant IS NOT NULL OR NOT EXISTS (SELECT FROM codex_kb.memory_scopes AS switched
        WHERE switched.tenant = sums.tenant AND switched.repository = sums.repository))
GROUP BY tenant, repository, scope.off_since, scope.off_why, arm, share ORDER BY tenant, repository, share, arm
"""

_SWITCH_OFF = """
INSERT INTO codex_kb.memory_scopes AS known (tenant, repository, off_since, off_why)
VALUES (%(tenant)s, %(repository)s, now(), %(why)s)
ON CONFLICT (tenant, repository) DO UPDATE SET off_since = now(), off_why = EXCLUDED.off_why
    WHERE known.off_since IS NULL
"""

_SWITCH_ON = """
UPDATE codex_kb.memory_scopes SET off_since = NULL, off_why = '', round = round + 1
WHERE tenant || ':' || repository = %(name)s AND off_since IS NOT NULL
"""

_OF_TENANT = "SELECT id FROM codex_kb.codex_tasks WHERE id = %(task)s AND tenant = %(tenant)s"

# The same as the latest is not told again.
_VERDICT = """
INSERT INTO codex_kb.run_events (task_run_id, event_type, actor, payload)
SELECT %(task)s, 'verdict', %(by)s, %(payload)s WHERE %(payload)s::jsonb IS DISTINCT FROM (
    SELECT payload FROM codex_kb.run_events WHERE task_run_id = %(task)s AND event_type = 'verdict'
    ORDER BY id DESC LIMIT 1)
"""


class PgMemoryLearning:
    """Outcomes of tasks, and what is learned of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def learn(self, task: UUID) -> None:
        """Learns from a task that has finished and was offered memories; what is known already changes nothing.

        A scope in which memories do harm is switched off, which is logged and counted once.
        """
        _told(self._database.transaction(lambda cursor: _learn(cursor, task)))

    def catch_up(self, limit: int = 500, older_than: float = 60.0) -> None:
        """Learns from tasks that finished so many seconds ago, and whose end was told to nobody who learns."""
        for row in self._database.all(_UNKNOWN, {"limit": limit, "seconds": older_than}):
            try:
                self.learn(row["task_id"])
            except FacteurError as error:  # the others are no worse for it
                facts = {"task": str(row["task_id"]), "error": type(error).__name__, "detail": str(error)}
                log.warning("an outcome is not learned from yet", extra={"facts": facts})

    def judge(self, task: UUID, tenant: str, by: str, verdict: Judgement, note: str) -> bool:
        """Notes what a person says of a task, and learns from it; False if the tenant has no such task."""
        payload = {"caller": by, "verdict": verdict.value, **({"note": note} if note else {})}

        def work(cursor: Cursor) -> tuple[bool, ScopeLift | None]:
            if cursor.execute(_OF_TENANT.encode(), {"task": task, "tenant": tenant}).fetchone() is None:
                return False, None
            hold(cursor, task)
            cursor.execute(_VERDICT.encode(), {"task": task, "by": by, "payload": Jsonb(payload)})
            return True, _learn(cursor, task)

        found, harmful = self._database.transaction(work)
        _told(harmful)
        return found

    def lift(self, tenant: str | None = None, repository: str | None = None) -> list[ScopeLift]:
        """The lift of each scope, of one tenant or of all."""
        return _scopes(self._database.all(_LIFT, {"tenant": tenant, "repository": repository}))

    def switch_on(self, name: str) -> bool:
        """The scope of this name is shown memories again, and its lift begins anew; False unless it was off."""
        return self._database.do(_SWITCH_ON, {"name": name}) > 0


def _learn(cursor: Cursor, task: UUID) -> ScopeLift | None:
    """The scope, if it was switched off just now."""
    hold(cursor, task)
    facts = cursor.execute(_FACTS.encode(), {"task": task}).fetchone()
    if facts is None:
        return None
    before, now = _known(facts), _outcome(facts)
    if before == now:
        return None
    surprise = now.success - (before.success if before else facts["base"])
    changes = {
        "task": task,
        "ended": facts["ended"],
        "success": now.success,
        "seconds": now.seconds,
        "dollars": now.dollars,
    }
    cursor.execute(_THERE.encode(), {"task": task})
    cursor.execute(_LEARN.encode(), changes | {"surprise": surprise} | _difference(before, now))
    scope = {"tenant": facts["tenant"], "repository": facts["repository"]}
    (found,) = _scopes(cursor.execute(_LIFT.encode(), scope).fetchall())
    if found.off_since or not (why := found.why_harmful):
        return None
    return found if cursor.execute(_SWITCH_OFF.encode(), scope | {"why": why}).rowcount else None


def _told(scope: ScopeLift | None) -> None:
    if scope:
        facts = {"tenant": scope.tenant, "repository": scope.repository, "why": scope.why_harmful}
        log.warning("memories did harm: the scope is switched off", extra={"facts": facts})
        telemetry.count("facteur_memory_scopes_off_total")


def _known(facts: Row) -> Outcome | None:
    """The outcome that was known before."""
    if facts["success"] is None:
        return None
    return Outcome(facts["success"], facts["duration_seconds"], facts["cost_usd"])


def _outcome(facts: Row) -> Outcome:
    verdict = facts["verdict"] and Judgement(facts["verdict"])
    state = RunState(facts["status"])
    value = success(state, failed_gate=facts["failed_gate"], undone=facts["undone"], verdict=verdict)
    return Outcome(value, facts["seconds"], facts["dollars"])


def _difference(before: Outcome | None, now: Outcome) -> dict[str, Any]:
    """What the sums grow by."""
    nothing = (Sums(), Sums(), Sums())
    names = (
        ("tasks", "total", "squares"),
        ("durations", "duration", "duration_squares"),
        ("costs", "cost", "cost_squares"),
    )
    grown: dict[str, Any] = {}
    for columns, old, new in zip(names, before.sums if before else nothing, now.sums, strict=True):
        values = new.count - old.count, new.total - old.total, new.squares - old.squares
        grown |= zip(columns, values, strict=True)
    return grown


def _scopes(rows: Sequence[Row]) -> list[ScopeLift]:
    """Rows of one scope after the other."""
    found: dict[tuple[str, str], ScopeLift] = {}
    for row in rows:
        key = row["tenant"], row["repository"]
        scope = found.get(key) or ScopeLift(*key, {}, row["off_since"], row["off_why"])
        arms = scope.trials.get(row["share"], Arms())
        if row["arm"] in (Arm.TREATED, Arm.HELD_OUT):
            sums = _measures(row)
            arms = Arms(sums, arms.held_out) if row["arm"] == Arm.TREATED else Arms(arms.treated, sums)
            scope = ScopeLift(*key, {**scope.trials, row["share"]: arms}, scope.off_since, scope.off_why)
        found[key] = scope
    return list(found.values())


def _measures(row: Row) -> tuple[Sums, Sums, Sums]:
    return (
        Sums(row["tasks"], row["success"], row["success_squares"]),
        Sums(row["durations"], row["duration"], row["duration_squares"]),
        Sums(row["costs"], row["cost"], row["cost_squares"]),
    )
