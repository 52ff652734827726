"""What tasks are offered of the memories that were found for them: read, decided once and noted."""

from collections.abc import Sequence
from uuid import UUID

from shared import telemetry
from shared.domain.effect import Evidence, Tally, Toss
from shared.domain.errors import InFlight
from shared.domain.memory import Recalled
from shared.domain.offer import Arm, Offered, Standing, offer
from shared.postgres.database import Cursor, Database, Row

# All that is decided, noted and learned of a task is done by one at a time.
_HOLD = "SELECT pg_advisory_xact_lock(hashtextextended(%(task)s::text, 7017))"

# They are keys of an index, whose rows have at most 2704 bytes; who has longer names shares a scope or a topic.
_REPOSITORY = "left(task.repository, 300)"
_TOPIC = "left(task.stage || ' ' || coalesce(task.targets->0->>'kind', ''), 100)"

# A row for each memory, one at least.
_STANDING = f"""
SELECT trial.arm, trial.share, coalesce(scope.off_since IS NOT NULL, false) AS off, tally.*, asked.memory_id,
    effect.information, effect.credit, toss.propensity, toss.shown
FROM codex_kb.codex_tasks AS task
LEFT JOIN codex_kb.memory_trials AS trial ON trial.task_id = task.id
LEFT JOIN codex_kb.memory_scopes AS scope ON scope.tenant = task.tenant AND scope.repository = {_REPOSITORY}
CROSS JOIN LATERAL (
    SELECT coalesce(sum(tasks), 0)::int AS in_scope, coalesce(sum(success), 0) AS good_in_scope,
        coalesce(sum(tasks) FILTER (WHERE topic = {_TOPIC}), 0)::int AS in_topic,
        coalesce(sum(success) FILTER (WHERE topic = {_TOPIC}), 0) AS good_in_topic
    FROM codex_kb.memory_sums AS sums WHERE sums.tenant = task.tenant AND sums.repository = {_REPOSITORY}
) AS tally
LEFT JOIN unnest(%(memories)s::uuid[]) AS asked (memory_id) ON true
LEFT JOIN codex_kb.memory_effects AS effect ON effect.memory_id = asked.memory_id
LEFT JOIN LATERAL (
    SELECT propensity, shown FROM codex_kb.memory_exposure AS exposure
    WHERE exposure.task_id = task.id AND exposure.memory_id = asked.memory_id ORDER BY shown_at LIMIT 1
) AS toss ON true
WHERE task.id = %(task)s
"""  # noqa: S608  # the only things put in are the constants above

_BEGIN = f"""
INSERT INTO codex_kb.memory_trials (task_id, tenant, repository, round, topic, arm, share, base)
SELECT id, tenant, {_REPOSITORY}, coalesce((SELECT round FROM codex_kb.memory_scopes AS scope
        WHERE scope.tenant = task.tenant AND scope.repository = {_REPOSITORY}), 0),
    {_TOPIC}, %(arm)s, %(share)s, %(base)s
FROM codex_kb.codex_tasks AS task WHERE id = %(task)s
ON CONFLICT DO NOTHING
"""  # noqa: S608  # the only things put in are the constants above

# What is shown is noted, so that whoever has it forgotten is told by whom it was seen; locked until then.
_THERE = """
SELECT id FROM codex_kb.codex_task_memory_index WHERE id = ANY(%(shown)s::uuid[]) ORDER BY id FOR KEY SHARE
"""

# One that was withheld, and was forgotten since it was found, is not noted. The time is that of the note, not of the
# transaction.
_NOTE = """
INSERT INTO codex_kb.memory_exposure
    (task_id, attempt, memory_id, channel, rank, score, propensity, shown, shown_at)
SELECT %(task)s, %(attempt)s, memory_id, %(channel)s, rank, score, propensity, shown, clock_timestamp()
FROM unnest(%(memories)s::uuid[], %(ranks)s::int[], %(scores)s::real[], %(propensities)s::float[], %(shown)s::bool[])
    AS tossed (memory_id, rank, score, propensity, shown)
WHERE EXISTS (SELECT FROM codex_kb.codex_task_memory_index WHERE id = memory_id FOR KEY SHARE)
ON CONFLICT DO NOTHING
"""


class PgMemoryTrials:
    """Offers of memories to tasks, in `memory_trials` and `memory_exposure`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, task: UUID, memories: Sequence[UUID]) -> Standing:
        """What is known before the task is offered these memories."""
        return _standing(self._database.all(_STANDING, {"task": task, "memories": list(memories)}))

    def choose(self, task: UUID, attempt: int, found: Sequence[Recalled], places: int, share: float) -> Offered:
        """Decides what a run that asks is shown of what was found, best first, and notes it."""

        def work(cursor: Cursor) -> Offered:
            hold(cursor, task)
            memories = [one.memory.id for one in found]
            rows = cursor.execute(_STANDING.encode(), {"task": task, "memories": memories}).fetchall()
            decided = offer(task, memories, places, share, _standing(rows))
            offered = Offered(decided, found, [one for one in found if one.memory.id in decided.shown])
            if found:
                note(cursor, task, attempt, "query", offered)
            return offered

        offered = self._database.transaction(work)
        count("query", offered)
        return offered


def hold(cursor: Cursor, task: UUID) -> None:
    """Nobody else decides, notes or learns anything of the task until the transaction ends."""
    cursor.execute(_HOLD.encode(), {"task": task})


def note(cursor: Cursor, task: UUID, attempt: int, channel: str, offered: Offered) -> None:
    """Notes an offer for which there were memories, inside the caller's transaction, which holds the task.

    InFlight if one that is shown was forgotten since it was found.
    """
    decided = offered.offer
    shown = [one.memory.id for one in offered.answer]
    if shown and len(cursor.execute(_THERE.encode(), {"shown": shown}).fetchall()) < len(shown):
        raise InFlight("a memory was forgotten while it was to be shown: try again")
    begun = {"task": task, "arm": decided.arm, "share": decided.share, "base": decided.base}
    cursor.execute(_BEGIN.encode(), begun)
    if decided.tosses:
        ranks = {one.memory.id: rank for rank, one in enumerate(offered.answer, 1)}
        scores = {one.memory.id: one.score for one in offered.found}
        tossed = {
            "memories": [toss.memory for toss in decided.tosses],
            "ranks": [ranks.get(toss.memory, 0) for toss in decided.tosses],
            "scores": [scores[toss.memory] for toss in decided.tosses],
            "propensities": [toss.propensity for toss in decided.tosses],
            "shown": [toss.shown for toss in decided.tosses],
        }
        cursor.execute(_NOTE.encode(), {"task": task, "attempt": attempt, "channel": channel, **tossed})


def count(channel: str, offered: Offered) -> None:
    """Counts what was shown and what was not."""
    decided = offered.offer
    telemetry.count("facteur_memory_shown_total", amount=len(offered.answer), channel=channel)
    withheld = len(offered.found) if decided.off or decided.held_out else len(decided.tosses) - len(decided.shown)
    why = "off" if decided.off else "holdout" if decided.held_out else "toss"
    telemetry.count("facteur_memory_withheld_total", amount=withheld, channel=channel, why=why)


def _standing(rows: Sequence[Row]) -> Standing:
    """What the rows of one task say; nothing is known of a task that is unknown."""
    if not rows:
        return Standing()
    first = rows[0]
    return Standing(
        off=first["off"],
        arm=first["arm"] and Arm(first["arm"]),
        share=first["share"],
        topic=Tally(first["in_topic"], first["good_in_topic"]),
        scope=Tally(first["in_scope"], first["good_in_scope"]),
        evidence={
            row["memory_id"]: Evidence(row["information"], row["credit"])
            for row in rows
            if row["information"] is not None
        },
        tosses={
            row["memory_id"]: Toss(row["memory_id"], row["propensity"], row["shown"])
            for row in rows
            if row["propensity"] is not None
        },
    )
