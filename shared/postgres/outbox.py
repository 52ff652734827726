"""Events committed with the facts they announce, and not yet with the broker."""

import logging
from collections.abc import Callable, Sequence

from shared.domain.errors import Rejected, Unavailable
from shared.events import codec
from shared.events.event import Event
from shared.postgres.database import Cursor, Database

log = logging.getLogger(__name__)

A_ROUND = 100

_ADD = "INSERT INTO codex_kb.outbox (id, event) VALUES (%(id)s, %(event)s) ON CONFLICT DO NOTHING"

_REMOVE = "DELETE FROM codex_kb.outbox WHERE id = ANY(%(ids)s::uuid[])"
# Not waited for: an event whose removal is lost with the server is published twice, as any may be.
_FORGET = """
WITH later AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
DELETE FROM codex_kb.outbox USING later WHERE id = ANY(%(ids)s::uuid[])
"""

# Younger ones are being published by the request that wrote them.
_TAKE = """
SELECT id::text, event FROM codex_kb.outbox
WHERE created_at < now() - %(age)s * interval '1 second'
ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""


def add(cursor: Cursor, event: Event, row: str | None = None) -> None:
    """Puts an event into the outbox, inside the caller's transaction; its row is the event's id, or `row`."""
    cursor.execute(_ADD.encode(), stored(event) | ({"id": row} if row else {}))


def stored(event: Event) -> dict[str, str]:
    """The event's columns `id` and `event`."""
    return {"id": event.id, "event": codec.to_json(event).decode()}


class PgOutbox:
    """The outbox, for whoever publishes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remove(self, ids: Sequence[str]) -> None:
        """The broker has these events."""
        self._database.do(_FORGET, {"ids": list(ids)})

    def relay(self, publish: Callable[[Event], None], limit: int = A_ROUND, older_than: float = 3.0) -> int:
        """Publishes what was left over for `older_than` seconds; how many the broker took.

        Two relays never take the same event at once. A broker that is away ends the round; an event
        that it refuses stays, is logged, and holds no other up.
        """

        def work(cursor: Cursor) -> int:
            rows = cursor.execute(_TAKE.encode(), {"age": older_than, "limit": limit}).fetchall()
            sent: list[str] = []
            for row in rows:
                try:
                    publish(codec.from_json(row["event"].encode()))
                    sent.append(row["id"])
                except Rejected as error:  # this one; the others shall not wait behind it
                    log.error("an event stays in the outbox", extra={"facts": {"id": row["id"], "why": str(error)}})
                except Unavailable:
                    break
            cursor.execute(_REMOVE.encode(), {"ids": sent})
            return len(sent)

        return self._database.transaction(work)
