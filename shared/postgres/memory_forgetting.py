"""Forgetting what somebody chooses, with all that was made of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.domain.forgetting import Choice, Forgotten, Found, Sight
from shared.postgres import memory_models, memory_vectors
from shared.postgres.database import Cursor, Database

# Whole tasks, with '' as their source, and single texts of tasks.
_CHOSEN = """chosen AS MATERIALIZED (
    SELECT task.id AS task_id, task.tenant, named.source_ref
    FROM codex_kb.codex_tasks AS task CROSS JOIN (VALUES (''), (%(source)s::text)) AS named (source_ref)
    WHERE (%(task)s::uuid IS NULL OR task.id = %(task)s) AND (%(caller)s::text IS NULL OR task.caller = %(caller)s)
        AND (%(tenant)s::text IS NULL OR task.tenant = %(tenant)s)
        AND CASE WHEN named.source_ref IS NULL THEN false
            WHEN %(source)s::text IS NULL THEN true
            WHEN named.source_ref = '' THEN task.repository = %(source)s OR task.id IN (
                SELECT task_runs.id FROM codex_kb.ideas JOIN codex_kb.tasks ON tasks.idea_id = ideas.id
                JOIN codex_kb.task_runs ON task_runs.task_id = tasks.id WHERE ideas.source_ref = %(source)s)
            ELSE task.id IN (
                SELECT task_id FROM codex_kb.codex_task_memory_index WHERE source_ref = %(source)s
                UNION ALL
                SELECT task_id FROM codex_kb.codex_task_snapshots WHERE id::text = %(source)s
                UNION ALL
                SELECT task_id FROM codex_kb.memory_tombstones WHERE source_ref = %(source)s)
        END
)"""

_FORGOTTEN_ALREADY = """EXISTS (SELECT FROM codex_kb.memory_tombstones AS forgotten
    WHERE forgotten.task_id = chosen.task_id AND forgotten.kind = ''
        AND forgotten.source_ref IN ('', chosen.source_ref))"""

_OF_CHOSEN = """codex_kb.codex_task_memory_index AS memory
    WHERE EXISTS (SELECT FROM chosen
        WHERE chosen.task_id = memory.task_id AND chosen.source_ref IN ('', memory.source_ref))"""

_FOUND = f"""
WITH {_CHOSEN}
SELECT count(DISTINCT task_id)::int AS matching, coalesce(array_agg(DISTINCT tenant), '{{}}') AS tenants,
    (count(DISTINCT task_id) FILTER (WHERE NOT {_FORGOTTEN_ALREADY}))::int AS tasks,
    (SELECT coalesce(jsonb_object_agg(kind, number), '{{}}')
     FROM (SELECT kind, count(*) AS number FROM {_OF_CHOSEN} GROUP BY kind) AS counted) AS memories
FROM chosen
"""  # noqa: S608  # the only things put in are the constants above

# In the order in which they are held for being shown. Whoever comes later finds them gone.
_HOLD = f"""
WITH {_CHOSEN}, held AS (SELECT memory.id FROM {_OF_CHOSEN} ORDER BY memory.id FOR UPDATE OF memory)
SELECT count(*) FROM held
"""  # noqa: S608  # the only things put in are the constants above

# What was withheld, or did not fit, nobody saw.
_SEEN = f"""
WITH {_CHOSEN}
SELECT shown.task_id, shown.attempt, shown.channel, min(shown.shown_at) AS at, count(*)::int AS memories,
    task.finished_at IS NOT NULL OR task.attempt > shown.attempt AS over
FROM codex_kb.memory_exposure AS shown JOIN codex_kb.codex_tasks AS task ON task.id = shown.task_id
WHERE shown.shown AND shown.rank > 0 AND shown.memory_id IN (SELECT id FROM {_OF_CHOSEN})
GROUP BY shown.task_id, shown.attempt, shown.channel, over ORDER BY at, shown.task_id, shown.attempt, shown.channel
"""  # noqa: S608  # the only things put in are the constants above

_BURY = f"""
WITH {_CHOSEN}
INSERT INTO codex_kb.memory_tombstones (task_id, source_ref)
SELECT task_id, source_ref FROM chosen WHERE NOT {_FORGOTTEN_ALREADY}
ON CONFLICT DO NOTHING RETURNING task_id
"""  # noqa: S608  # the only things put in are the constants above

_FORGET = f"""
WITH {_CHOSEN}, gone AS (DELETE FROM {_OF_CHOSEN} RETURNING kind, content_hash)
SELECT kind, count(*)::int AS memories, array_agg(DISTINCT content_hash) AS contents FROM gone GROUP BY kind
"""  # noqa: S608  # the only things put in are the constants above

_NOTE = """
INSERT INTO codex_kb.memory_forgettings (forgotten_by, choice, memories, tasks, vectors, seen_by)
VALUES (%(by)s, %(choice)s, %(memories)s, %(tasks)s, %(vectors)s, %(seen_by)s)
"""

# Also those that were seen before the same was forgotten for the first time.
_PURGE = """
UPDATE codex_kb.codex_task_briefs AS brief SET purge = true
FROM codex_kb.memory_forgettings AS forgetting CROSS JOIN LATERAL jsonb_array_elements(seen_by) AS seen,
    codex_kb.codex_tasks AS task
WHERE forgetting.choice = %(choice)s AND seen->>'channel' = 'prompt'
    AND brief.task_id = (seen->>'taskId')::uuid AND brief.attempt = (seen->>'attempt')::int
    AND NOT purge AND position('<recalled-memory-' IN brief.prompt) > 0 AND task.id = brief.task_id
RETURNING task.finished_at IS NOT NULL OR task.attempt > brief.attempt AS over
"""

_MODELS = "SELECT model FROM codex_kb.memory_models"

_PROMPTS = "SELECT prompt FROM codex_kb.codex_tasks WHERE id = ANY(%(tasks)s::uuid[])"
_AT_ONCE = 200


class PgMemoryForgetting:
    """Forgets memories. What they were made of, the record of the tasks, stays."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, choice: Choice) -> Found:
        """What `forget` would forget."""
        found = self._database.one(_FOUND, _parameters(choice)) or {}
        rows = self._database.all(_SEEN, _parameters(choice))
        return Found(**found, seen_by=[Sight(**row) for row in rows])

    def forget(self, choice: Choice, by: str, *, purge_prompts: bool) -> Forgotten:
        """Forgets it for ever, in one transaction, and notes who had it forgotten and who had seen it.

        Meanwhile nobody stores memories: InFlight if one who does takes more than two seconds. With
        `purge_prompts`, the prompt files that show it are to be purged, also if it was forgotten before. A repeat
        finds nothing.
        """

        def work(cursor: Cursor) -> Forgotten:
            memory_models.alone(cursor)
            done = _forget(cursor, _parameters(choice))
            if done.tasks or done.memories:
                cursor.execute(_NOTE.encode(), _note(choice, by, done))
            if purge_prompts:
                over = [row["over"] for row in cursor.execute(_PURGE.encode(), {"choice": _json(choice)})]
                done = replace(done, prompts=(sum(over), len(over) - sum(over)))
            return done

        return self._database.transaction(work)

    def prompts(self, tasks: Sequence[UUID]) -> Iterator[str]:
        """The prompts of tasks: a vector of one is kept in Redis, where a run has asked with it."""
        for start in range(0, len(tasks), _AT_ONCE):
            for row in self._database.all(_PROMPTS, {"tasks": tasks[start : start + _AT_ONCE]}):
                yield row["prompt"]


def _forget(cursor: Cursor, parameters: Mapping[str, Any]) -> Forgotten:
    cursor.execute(_HOLD.encode(), parameters)
    seen = [Sight(**row) for row in cursor.execute(_SEEN.encode(), parameters)]
    tasks = list(dict.fromkeys(row["task_id"] for row in cursor.execute(_BURY.encode(), parameters)))
    gone = cursor.execute(_FORGET.encode(), parameters).fetchall()
    contents = list({content for row in gone for content in row["contents"]})
    vectors = memory_vectors.drop_unneeded(cursor, contents)
    models = [row["model"] for row in cursor.execute(_MODELS.encode())]
    return Forgotten({row["kind"]: row["memories"] for row in gone}, tasks, seen, vectors, contents, models)


def _parameters(choice: Choice) -> dict[str, Any]:
    return {"task": choice.task, "caller": choice.caller, "source": choice.source, "tenant": choice.tenant}


def _json(choice: Choice) -> Jsonb:
    return Jsonb({name: str(value) for name, value in _parameters(choice).items() if value is not None})


def _note(choice: Choice, by: str, done: Forgotten) -> dict[str, Any]:
    seen_by = [
        {
            "taskId": str(one.task_id),
            "attempt": one.attempt,
            "channel": one.channel,
            "at": one.at.astimezone(UTC).isoformat(),
            "memories": one.memories,
        }
        for one in done.seen_by
    ]
    return {
        "by": by,
        "choice": _json(choice),
        "memories": Jsonb(done.memories),
        "tasks": len(done.tasks),
        "vectors": done.vectors,
        "seen_by": Jsonb(seen_by),
    }
