"""Tasks as intake accepts them, once."""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg

from shared.domain.errors import Rejected
from shared.domain.ids import run_id
from shared.domain.task import Accepted, Target, TaskRequest
from shared.events import codec
from shared.events.event import Event
from shared.postgres.database import Cursor, Database, Row
from shared.postgres.group_commit import GroupCommit

_NULL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
# More in one statement brings no more, and makes its callers wait. A large task counts as many.
_MOST_AT_ONCE = 32
_COUNTS_AS_ONE = 8192  # bytes
# How long a statement for one delivery waits for a row of another transaction. One for many waits for a fourth of
# that: it shall not wait for the sake of one. Who waits for another request of this process does so twice as long.
LOCK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Item:
    request: TaskRequest
    encoded: bytes


# One statement, so one round trip and one transaction, for one delivery or for many. A delivery that is
# known already inserts nothing; one that another transaction is inserting right now fails on
# task_runs_delivery_unique. Ideas go in the order of their key, so that two processes never wait for each
# other's rows. Ideas and tasks have random ids: a derived one would be a second key to conflict on, which
# ON CONFLICT does not catch when two deliveries of one issue come at the same moment.
_ACCEPT = """
WITH patience AS MATERIALIZED (
    SELECT set_config('lock_timeout', %(lock_timeout)s, true)
), given AS MATERIALIZED (
    SELECT given.* FROM patience, jsonb_to_recordset(%(tasks)s) AS given (
        run_id UUID, delivery_id TEXT, source_type TEXT, source_ref TEXT, caller TEXT, tenant TEXT, prompt TEXT,
        stage TEXT, mode TEXT, repository TEXT, base TEXT, head TEXT, priority SMALLINT, deadline_seconds INTEGER,
        tags TEXT[], body_hash TEXT, delivery TEXT, answer TEXT, traceparent TEXT, payload JSONB, metadata JSONB,
        row_metadata JSONB, targets JSONB, orchestration JSONB, event_id UUID, event TEXT)
    WHERE NOT EXISTS (SELECT FROM codex_kb.task_runs WHERE task_runs.delivery_id = given.delivery_id)
        AND NOT EXISTS (SELECT FROM codex_kb.coalesced_deliveries AS merged
            WHERE merged.delivery_id = given.delivery_id)
), idea AS (
    INSERT INTO codex_kb.ideas (source_type, source_ref, priority, status, payload)
    SELECT source_type, source_ref, priority, 'received', payload FROM given ORDER BY source_type, source_ref
    ON CONFLICT (source_type, source_ref) DO UPDATE
        SET priority = EXCLUDED.priority, payload = EXCLUDED.payload, updated_at = now()
    RETURNING id, source_type, source_ref
), task AS (
    INSERT INTO codex_kb.tasks (idea_id, stage, state, metadata)
    SELECT idea.id, stage, 'queued', row_metadata FROM given JOIN idea USING (source_type, source_ref)
    ON CONFLICT (idea_id, stage) DO UPDATE
        SET state = 'queued', metadata = EXCLUDED.metadata, updated_at = now()
    RETURNING id, idea_id
), run AS (
    INSERT INTO codex_kb.task_runs (id, task_id, status, metadata, delivery_id)
    SELECT run_id, task.id, 'queued', row_metadata, delivery_id
    FROM given JOIN idea USING (source_type, source_ref) JOIN task ON task.idea_id = idea.id
    RETURNING id, task_id
), control AS (
    INSERT INTO codex_kb.codex_tasks (id, caller, tenant, prompt, stage, mode, repository, base, head, targets,
        tags, metadata, priority, deadline_seconds, body_hash, status, traceparent, delivery, orchestration, answer)
    SELECT run.id, caller, tenant, prompt, stage, mode, repository, base, head, targets, tags, metadata, priority,
        deadline_seconds, decode(body_hash, 'hex'), 'accepted', traceparent, decode(delivery, 'base64'),
        orchestration, answer
    FROM run JOIN given ON given.run_id = run.id
    RETURNING id, created_at
), announced AS (
    INSERT INTO codex_kb.outbox (id, event)
    SELECT event_id, event FROM control JOIN given ON given.run_id = control.id ON CONFLICT DO NOTHING
)
SELECT run.id AS run_id, task.id AS task_id, task.idea_id, control.created_at AS accepted_at
FROM run JOIN task ON task.id = run.task_id JOIN control ON control.id = run.id
"""

# Rows of the earlier system have no codex_tasks beside them.
_ACCEPTED = """
SELECT task_runs.id AS run_id, tasks.id AS task_id, tasks.idea_id, tasks.stage,
    coalesce(codex_tasks.status, task_runs.status) AS status,
    coalesce(codex_tasks.created_at, task_runs.created_at) AS accepted_at,
    coalesce(merged.body_hash, codex_tasks.body_hash) AS body_hash, codex_tasks.orchestration, codex_tasks.answer,
    merged.run_id IS NOT NULL AS coalesced
FROM codex_kb.task_runs
JOIN codex_kb.tasks ON tasks.id = task_runs.task_id
LEFT JOIN codex_kb.codex_tasks ON codex_tasks.id = task_runs.id
LEFT JOIN codex_kb.coalesced_deliveries AS merged
    ON merged.run_id = task_runs.id AND merged.delivery_id = %(delivery_id)s
WHERE task_runs.delivery_id = %(delivery_id)s OR merged.run_id IS NOT NULL
"""

# Deliveries for the same work wait for each other here, until the transaction ends.
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended(%(work)s, 0))"

_MERGE = """
INSERT INTO codex_kb.coalesced_deliveries (delivery_id, run_id, body_hash)
SELECT %(delivery_id)s, codex_tasks.id, %(body_hash)s
FROM codex_kb.ideas
JOIN codex_kb.tasks ON tasks.idea_id = ideas.id AND tasks.stage = %(stage)s
JOIN codex_kb.task_runs ON task_runs.task_id = tasks.id
JOIN codex_kb.codex_tasks ON codex_tasks.id = task_runs.id
WHERE ideas.source_type = %(source_type)s AND ideas.source_ref = %(source_ref)s
    AND codex_tasks.caller = %(caller)s AND codex_tasks.tenant = %(tenant)s AND finished_at IS NULL
    AND codex_tasks.created_at > now() - %(window)s * interval '1 second'
    AND NOT EXISTS (SELECT FROM codex_kb.task_runs AS known WHERE known.delivery_id = %(delivery_id)s)
ORDER BY codex_tasks.created_at DESC LIMIT 1
ON CONFLICT DO NOTHING
"""


class PgTasks:
    """Tasks in `ideas`, `tasks`, `task_runs` and `codex_tasks`."""

    def __init__(self, database: Database, lock_seconds: float = LOCK_SECONDS) -> None:
        self._database = database
        self._lock_seconds = lock_seconds
        self._commit = GroupCommit(self._insert, _keys, _weight, _MOST_AT_ONCE, patience=2 * lock_seconds)

    def accept(self, request: TaskRequest, announcement: Event, traceparent: str | None) -> Accepted:
        """Stores the task with its announcement, or finds what an earlier delivery stored.

        With `coalesce_seconds` it may become part of an open task of the same caller for the same work.
        Rejected if a text cannot be stored; InFlight if the same delivery is just being stored elsewhere.
        """
        item = _Item(request, _encoded(request, announcement, traceparent))
        try:
            if request.coalesce_seconds:
                return self._coalesce(item)
            row = self._commit(item)
        except psycopg.errors.UniqueViolation:
            row = None
        return _fresh(request, row) if row else self._accepted(request.delivery_id)

    def _insert(self, items: Sequence[_Item]) -> list[Row | None]:
        rows = {row["run_id"]: row for row in self._database.all(_ACCEPT, self._together(items))}
        return [rows.get(run_id(item.request.delivery_id)) for item in items]

    def _together(self, items: Sequence[_Item]) -> dict[str, str]:
        """The parameters of `_ACCEPT`."""
        tasks = b"[%s]" % b",".join(item.encoded for item in items)
        seconds = self._lock_seconds if len(items) == 1 else self._lock_seconds / 4
        return {"tasks": tasks.decode(), "lock_timeout": f"{1000 * seconds:.0f}ms"}

    def _coalesce(self, item: _Item) -> Accepted:
        request = item.request
        parameters = {
            "delivery_id": request.delivery_id,
            "body_hash": request.body_hash,
            "stage": request.stage,
            "source_type": request.source_type,
            "source_ref": request.source_ref,
            "caller": request.caller,
            "tenant": request.tenant,
            "window": request.coalesce_seconds,
            "work": "\n".join((request.source_type, request.source_ref, request.stage)),
        }

        def work(cursor: Cursor) -> tuple[Row | None, bool]:
            cursor.execute(_ONE_AT_A_TIME.encode(), parameters)
            if cursor.execute(_MERGE.encode(), parameters).rowcount:
                return None, True
            return cursor.execute(_ACCEPT.encode(), self._together([item])).fetchone(), False

        row, merged = self._database.transaction(work)
        return _fresh(request, row) if row else self._accepted(request.delivery_id, duplicate=not merged)

    def _accepted(self, delivery_id: str, duplicate: bool = True) -> Accepted:
        row = self._database.one(_ACCEPTED, {"delivery_id": delivery_id})
        if row is None:
            raise LookupError("a delivery that could not be inserted cannot be found")
        return Accepted(**{**row, "orchestration": row["orchestration"] or {}}, duplicate=duplicate)


def _fresh(request: TaskRequest, row: Row) -> Accepted:
    return Accepted(
        **row,
        stage=request.stage,
        status="accepted",
        body_hash=request.body_hash,
        orchestration=request.orchestration,
        answer=request.answer,
        duplicate=False,
    )


def _weight(item: _Item) -> int:
    return 1 + len(item.encoded) // _COUNTS_AS_ONE


def _keys(item: _Item) -> tuple[Hashable, ...]:
    """What no other task that is stored at the same time may have."""
    return ("delivery", item.request.delivery_id), (item.request.source_type, item.request.source_ref)


def _encoded(request: TaskRequest, announcement: Event, traceparent: str | None) -> bytes:
    """The columns of one task as a JSON object; Rejected if a text of it cannot be stored."""
    try:
        encoded = msgspec.json.encode(_columns(request, announcement, traceparent))
    except UnicodeEncodeError:
        raise Rejected("a text holds a lone surrogate, which cannot be stored") from None
    if b"\\u0000" in encoded and _NULL.search(encoded):
        raise Rejected("a text holds the character U+0000, which cannot be stored")
    return encoded


def _columns(request: TaskRequest, announcement: Event, traceparent: str | None) -> dict[str, Any]:
    return {
        "run_id": run_id(request.delivery_id),
        "delivery_id": request.delivery_id,
        "source_type": request.source_type,
        "source_ref": request.source_ref,
        "caller": request.caller,
        "tenant": request.tenant,
        "prompt": request.prompt,
        "stage": request.stage,
        "mode": request.mode,
        "repository": request.repository,
        "base": request.base,
        "head": request.head,
        "priority": request.priority,
        "deadline_seconds": request.deadline_seconds,
        "tags": request.tags,
        "body_hash": request.body_hash.hex(),
        "delivery": request.delivery,
        "answer": request.answer,
        "traceparent": traceparent,
        "payload": request.payload,
        "metadata": request.metadata,
        "row_metadata": _row_metadata(request),
        "targets": [_target(target) for target in request.targets],
        "orchestration": request.orchestration,
        "event_id": announcement.id,
        "event": codec.to_json(announcement).decode(),
    }


def _row_metadata(request: TaskRequest) -> dict[str, Any]:
    return {
        "deliveryId": request.delivery_id,
        "stage": request.stage,
        "repository": request.repository,
        "issueNumber": request.issue_number,
        "head": request.head,
        "base": request.base,
    }


def _target(target: Target) -> dict[str, str]:
    return {
        "apiVersion": target.api_version,
        "kind": target.kind,
        "namespace": target.namespace,
        "name": target.name,
    }
