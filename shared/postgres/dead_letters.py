"""Events that nobody could handle, kept with their cause until somebody redrives or drops them."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from shared.domain.dead_letter import Choice, DeadLetter
from shared.domain.ids import stable_id
from shared.events import codec, dead_letter
from shared.events.event import Event
from shared.postgres import outbox
from shared.postgres.database import Cursor, Database

_KEEP = """
INSERT INTO codex_kb.dead_letters
    (id, source, event_id, type, subject, destination, error_code, error_data, reason, event)
VALUES (%(id)s, %(source)s, %(event_id)s, %(type)s, %(subject)s, %(destination)s, %(error_code)s, %(error_data)s,
    %(reason)s, %(event)s)
ON CONFLICT (id) DO UPDATE
    SET times_seen = dead_letters.times_seen + 1, last_seen_at = now(), state = 'waiting',
        error_code = EXCLUDED.error_code, error_data = EXCLUDED.error_data, reason = EXCLUDED.reason
"""

_COLUMNS = """
id, state, source, event_id, type, subject, destination, error_code, left(error_data, 8192) AS error_data, reason,
times_seen, first_seen_at, last_seen_at, times_redriven, redriven_at
"""

_CHOSEN = """
FROM codex_kb.dead_letters
WHERE (%(types)s::text[] IS NULL OR type = ANY(%(types)s::text[]))
    AND (%(destination)s::text IS NULL OR strpos(destination, %(destination)s::text) > 0)
    AND (%(state)s::text IS NULL OR state = %(state)s::text)
    AND (%(since)s::float8 IS NULL OR last_seen_at >= now() - %(since)s::float8 * interval '1 second')
"""

_CHOOSE = f"SELECT {_COLUMNS} {_CHOSEN} ORDER BY last_seen_at DESC, id LIMIT %(limit)s::bigint"

_COUNT = f"SELECT count(*) AS letters {_CHOSEN}"

_BEGINNING = f"""
SELECT {_COLUMNS}, event FROM codex_kb.dead_letters WHERE id BETWEEN %(first)s::uuid AND %(last)s::uuid LIMIT 2
"""  # noqa: S608

# Of two that redrive the same letter at once, the second finds another count.
_REDRIVE = """
UPDATE codex_kb.dead_letters SET state = 'redriven', times_redriven = times_redriven + 1, redriven_at = now()
WHERE id = %(id)s AND times_redriven = %(before)s
RETURNING event
"""

_DROP = "DELETE FROM codex_kb.dead_letters WHERE id = ANY(%(ids)s::uuid[])"


class Redriven(NamedTuple):
    """An event that is on its way again, and its row in the outbox."""

    row: str
    event: Event


class PgDeadLetters:
    """Dead letters in the table of that name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, event: Event) -> None:
        """Stores the event with what the broker says of it; the same one again is counted."""
        said = event.extensions.get
        self._store(event, said(dead_letter.DESTINATION, ""), said(dead_letter.CODE), said(dead_letter.DATA), None)

    def park(self, event: Event, destination: str, cause: str, status: int) -> None:
        """Stores an event that this function refuses for ever with `status`, and whose sender would lose it."""
        self._store(event, destination, str(status), None, cause)

    def _store(self, event: Event, destination: str, code: str | None, data: str | None, reason: str | None) -> None:
        self._database.do(
            _KEEP,
            {
                "id": stable_id("dead letter", event.source, event.id, destination),
                "source": event.source,
                "event_id": event.id,
                "type": event.type,
                "subject": event.subject,
                "destination": destination,
                "error_code": code,
                "error_data": data,
                "reason": reason,
                "event": codec.to_json(event).decode(),
            },
        )

    def choose(self, choice: Choice, limit: int | None = None) -> Sequence[DeadLetter]:
        """The letters that fit, without their events; the latest first, all of them without a limit."""
        return [DeadLetter(**row) for row in self._database.all(_CHOOSE, {**_conditions(choice), "limit": limit})]

    def count(self, choice: Choice) -> int:
        """How many letters fit."""
        row = self._database.one(_COUNT, _conditions(choice))
        return row["letters"] if row else 0

    def beginning(self, digits: str) -> Sequence[DeadLetter]:
        """Up to two letters whose id begins with these hex digits, with their events."""
        parameters = {"first": digits.ljust(32, "0"), "last": digits.ljust(32, "f")}
        return [DeadLetter(**row) for row in self._database.all(_BEGINNING, parameters)]

    def redrive(self, letter: DeadLetter) -> Redriven | None:
        """Puts the event into the outbox as it was first sent; None if the letter was redriven or dropped since."""

        def work(cursor: Cursor) -> Redriven | None:
            row = cursor.execute(_REDRIVE.encode(), {"id": letter.id, "before": letter.times_redriven}).fetchone()
            if row is None:
                return None
            event = dead_letter.original(codec.from_json(row["event"].encode()))
            name = str(stable_id("redrive", str(letter.id), str(letter.times_redriven + 1)))
            outbox.add(cursor, event, name)
            return Redriven(name, event)

        return self._database.transaction(work)

    def drop(self, ids: Sequence[UUID]) -> int:
        """Forgets these letters for ever; how many there were."""
        return self._database.do(_DROP, {"ids": list(ids)})


def _conditions(choice: Choice) -> dict[str, object]:
    return {
        "types": list(choice.types) if choice.types else None,
        "destination": choice.destination,
        "state": choice.state,
        "since": choice.since_seconds,
    }
