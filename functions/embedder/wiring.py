"""Puts embedder together. Nothing connects before the first event."""

from functions.embedder.embed import Embed
from functions.embedder.settings import Settings
from shared.broker.publisher import HttpPublisher
from shared.embeddings import embedder
from shared.events.announcer import Announcer
from shared.postgres.database import Database
from shared.postgres.memories import PgMemories
from shared.postgres.outbox import PgOutbox
from shared.settings import load

settings = load(Settings)
database = Database(settings.postgres_dsn)
embed = Embed(
    PgMemories(database),
    embedder(settings.api_key, settings.base_url, settings.model, settings.dimension),
    Announcer(HttpPublisher(settings.sink), PgOutbox(database)),
)


def ready() -> None:
    """Raises Unavailable while memories cannot be stored."""
    database.ready()
