"""What a card shows of its task."""

from uuid import UUID

from shared.domain.card import TaskFacts
from shared.domain.run import RunState
from shared.postgres.database import Database

# Of the workspace the last line of its diffstat, of the targets the number of lines that differ.
_FACTS = r"""
SELECT status, reason, result, stage, repository, base, head, left(prompt, 1000) AS prompt, attempt, usage,
    created_at AS accepted_at, launched_at, finished_at, cancel_requested_at IS NOT NULL AS cancel_requested,
    settled_at IS NOT NULL AS settled,
    (SELECT content FROM codex_kb.codex_task_events AS event
     WHERE event.task_id = task.id AND event.attempt = task.attempt AND event_type IN ('progress', 'log')
     ORDER BY sequence DESC LIMIT 1) AS said,
    coalesce((SELECT substring(content FROM '([0-9]+ files? changed[^\n]*)\s*$')
     FROM codex_kb.codex_task_snapshots AS taken
     WHERE taken.task_id = task.id AND taken.attempt = task.attempt AND type = 'after' AND content ~ 'files? changed'
     ORDER BY created_at DESC LIMIT 1), '') AS diff,
    coalesce((SELECT sum(cardinality(string_to_array(rtrim(diff, E'\n'), E'\n')))::int
     FROM codex_kb.codex_task_snapshots AS taken
     WHERE taken.task_id = task.id AND taken.attempt = task.attempt), 0) AS changes,
    ARRAY(SELECT coalesce(artifacts.metadata->>'name', '') FROM codex_kb.artifacts
     WHERE task_run_id = task.id ORDER BY created_at, id LIMIT 100) AS artifacts
FROM codex_kb.codex_tasks AS task WHERE id = %(task_id)s
"""


class PgCardFacts:
    """Looks at one task. Nobody is asked who may see it: its card is where it was asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, task_id: UUID) -> TaskFacts | None:
        """The facts about a task; None if it is not accepted yet."""
        row = self._database.one(_FACTS, {"task_id": task_id})
        if row is None:
            return None
        names = {"status": RunState(row["status"]), "artifacts": tuple(row["artifacts"])}
        return TaskFacts(**{**row, **names})
