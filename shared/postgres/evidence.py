"""What a task has left in the database at each station of its way."""

from dataclasses import dataclass
from uuid import UUID

from shared.postgres.database import Database

_EVIDENCE = """
SELECT codex_tasks.status, codex_tasks.reason, codex_tasks.result, codex_tasks.attempt AS attempts,
    coalesce(extract(epoch FROM codex_tasks.finished_at - codex_tasks.created_at), 0)::float AS seconds,
    ideas.id IS NOT NULL AS stored,
    codex_tasks.launched_at IS NOT NULL AS launched,
    ARRAY(SELECT DISTINCT event_type FROM codex_kb.codex_task_events WHERE task_id = codex_tasks.id) AS reported,
    ARRAY(SELECT type FROM codex_kb.codex_task_snapshots WHERE task_id = codex_tasks.id) AS snapshots,
    ARRAY(SELECT artifacts.metadata->>'name' FROM codex_kb.artifacts WHERE task_run_id = codex_tasks.id) AS artifacts,
    ARRAY(SELECT kind FROM codex_kb.codex_task_memory_index AS memory WHERE task_id = codex_tasks.id
        AND EXISTS (SELECT FROM codex_kb.codex_task_memory_vectors AS made
            WHERE made.content_hash = memory.content_hash AND embedding IS NOT NULL)) AS embedded,
    ARRAY(SELECT memory.task_id FROM codex_kb.memory_exposure JOIN codex_kb.codex_task_memory_index AS memory
        ON memory.id = memory_id WHERE memory_exposure.task_id = codex_tasks.id AND channel = 'prompt'
            AND rank > 0) AS shown,
    ARRAY(SELECT memory.task_id FROM codex_kb.memory_exposure JOIN codex_kb.codex_task_memory_index AS memory
        ON memory.id = memory_id WHERE memory_exposure.task_id = codex_tasks.id AND channel = 'query'
            AND rank > 0) AS asked
FROM codex_kb.codex_tasks
LEFT JOIN codex_kb.task_runs ON task_runs.id = codex_tasks.id
LEFT JOIN codex_kb.tasks ON tasks.id = task_runs.task_id
LEFT JOIN codex_kb.ideas ON ideas.id = tasks.idea_id
WHERE codex_tasks.id = %(id)s
"""

_TOTALS = """
SELECT count(*)::int AS tasks, coalesce(sum(attempt), 0)::int AS launches,
    count(*) FILTER (WHERE finished_at IS NULL)::int AS open,
    (SELECT count(*)::int FROM codex_kb.dead_letters) AS dead_letters
FROM codex_kb.codex_tasks
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One task's traces. `shown` and `asked` are the tasks whose memories it got in its prompt and by asking."""

    status: str
    reason: str
    result: str
    attempts: int
    seconds: float
    stored: bool
    launched: bool
    reported: list[str]
    snapshots: list[str]
    artifacts: list[str]
    embedded: list[str]
    shown: list[UUID]
    asked: list[UUID]


@dataclass(frozen=True, slots=True)
class Totals:
    """All tasks, launches of all attempts, unfinished tasks and dead letters."""

    tasks: int
    launches: int
    open: int
    dead_letters: int


class PgEvidence:
    """Looks at every table that a task passes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, task: UUID) -> Evidence | None:
        """The traces of one task, None for an unknown one."""
        row = self._database.one(_EVIDENCE, {"id": task})
        return Evidence(**row) if row else None

    def totals(self) -> Totals:
        """How much there is altogether."""
        row = self._database.one(_TOTALS, {})
        return Totals(**row) if row else Totals(0, 0, 0, 0)
