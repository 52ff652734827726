"""Events that nobody could handle, kept with their cause."""

from shared.domain.ids import stable_id
from shared.events import codec
from shared.events.event import Event
from shared.postgres.database import Database

_KEEP = """
INSERT INTO codex_kb.dead_letters (id, source, event_id, type, subject, destination, error_code, error_data, event)
VALUES (%(id)s, %(source)s, %(event_id)s, %(type)s, %(subject)s, %(destination)s, %(error_code)s, %(error_data)s,
    %(event)s)
ON CONFLICT (source, event_id, destination) DO UPDATE
    SET times_seen = dead_letters.times_seen + 1, last_seen_at = now(), error_code = EXCLUDED.error_code,
        error_data = EXCLUDED.error_data
"""


class PgDeadLetters:
    """Dead letters in the table of that name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, event: Event) -> None:
        """Stores the event with what the broker says of it; the same one again is counted."""
        destination = event.extensions.get("knativeerrordest", "")
        self._database.do(
            _KEEP,
            {
                "id": stable_id("dead letter", event.source, event.id, destination),
                "source": event.source,
                "event_id": event.id,
                "type": event.type,
                "subject": event.subject,
                "destination": destination,
                "error_code": event.extensions.get("knativeerrorcode"),
                "error_data": event.extensions.get("knativeerrordata"),
                "event": codec.to_json(event).decode(),
            },
        )
