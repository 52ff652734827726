"""What Discord's users are offered while they type, and what a task was asked to do."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from shared.postgres.database import Database

# Whose tasks are rare would have the whole table read for them with every letter: older ones are not proposed.
_SEEN = """seen AS (
    SELECT id, status, stage, repository, caller, prompt, created_at FROM (
        SELECT id, status, stage, repository, caller, prompt, metadata, created_at FROM codex_kb.codex_tasks
        WHERE tenant = 'default' ORDER BY created_at DESC, id DESC LIMIT 2000
    ) AS latest
    WHERE caller = %(caller)s OR %(guild)s <> '' AND metadata->>'guildId' = %(guild)s
    ORDER BY created_at DESC, id DESC LIMIT 200
)"""

_TASKS = f"""
WITH {_SEEN}
SELECT concat_ws(' · ', left(id::text, 8), status, stage, nullif(repository, ''),
        left(regexp_replace(prompt, '\\s+', ' ', 'g'), 60)) AS label, id::text AS value
FROM seen
WHERE strpos(lower(concat_ws(' ', id, status, stage, repository, left(prompt, 200))), lower(%(typed)s)) > 0
ORDER BY caller = %(caller)s DESC, created_at DESC LIMIT 25
"""  # noqa: S608  # the only thing put in is the constant above

_REPOSITORIES = f"""
WITH {_SEEN}
SELECT repository AS label, repository AS value FROM seen
WHERE repository <> '' AND strpos(lower(repository), lower(%(typed)s)) > 0
GROUP BY repository ORDER BY max(created_at) DESC LIMIT 25
"""  # noqa: S608  # the only thing put in is the constant above

_NAMESPACES = f"""
WITH {_SEEN}
SELECT namespace AS label, namespace AS value
FROM seen JOIN codex_kb.codex_task_memory_index AS memory ON memory.task_id = seen.id,
    unnest(memory.namespaces) AS namespace
WHERE strpos(lower(namespace), lower(%(typed)s)) > 0
GROUP BY namespace ORDER BY max(seen.created_at) DESC, namespace LIMIT 25
"""  # noqa: S608  # the only thing put in is the constant above

_ORIGINAL = """
SELECT prompt, repository, base, head FROM codex_kb.codex_tasks WHERE id = %(id)s AND tenant = 'default'
"""

_STATEMENTS = {"task": _TASKS, "repository": _REPOSITORIES, "namespace": _NAMESPACES}


class PgDiscordChoices:
    """Looks among the tasks that a user, or their server, asked for, as far as they are of the latest 2,000."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, option: str, typed: str, caller: str, guild: str) -> Sequence[tuple[str, str]]:
        """Labels and values that the option may be completed to, the latest first; at most 25."""
        parameters = {"typed": typed, "caller": caller, "guild": guild}
        rows = self._database.all(_STATEMENTS[option], parameters) if option in _STATEMENTS else []
        return [(row["label"], row["value"]) for row in rows]

    def original(self, task: UUID) -> Mapping[str, str] | None:
        """Prompt, repository, base and head of a task; None if there is none."""
        return self._database.one(_ORIGINAL, {"id": task})
