"""Deliveries already acted on: an effect and its row here are one transaction."""

from shared.events.event import Event
from shared.postgres.database import Cursor

_RECEIVE = """
INSERT INTO codex_kb.inbox (consumer, source, event_id) VALUES (%(consumer)s, %(source)s, %(event_id)s)
ON CONFLICT DO NOTHING
"""


def receive(cursor: Cursor, consumer: str, event: Event) -> bool:
    """Whether `consumer` sees the event for the first time; False for every repeat."""
    parameters = {"consumer": consumer, "source": event.source, "event_id": event.id}
    return cursor.execute(_RECEIVE.encode(), parameters).rowcount == 1
