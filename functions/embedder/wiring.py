"""Puts embedder together. Nothing connects before the first event."""

from functions.embedder.embed import Embed
from functions.embedder.settings import Settings
from shared.broker.publisher import HttpPublisher
from shared.embeddings import embedder
from shared.embeddings.coalescing import GATHER_SECONDS, Coalescing
from shared.events.announcer import Announcer
from shared.postgres.database import Database
from shared.postgres.memories import PgMemories
from shared.postgres.memory_indexes import PgMemoryIndexes
from shared.postgres.outbox import PgOutbox
from shared.redis.connection import Connection
from shared.redis.fresh_vectors import RedisFreshVectors
from shared.redis.later import RedisLater
from shared.redis.pace import RedisPace
from shared.settings import load

settings = load(Settings)
database = Database(settings.postgres_dsn)
api = embedder(settings.api_key, settings.base_url, settings.model, settings.dimension)
name = f"{api.model}:{api.dimension}"
# Who embeds offline has no API to be sparing with.
redis = Connection(settings.redis_url if settings.api_key else None)
embed = Embed(
    PgMemories(database),
    Coalescing(api, RedisPace(redis, name), RedisFreshVectors(redis), GATHER_SECONDS if settings.api_key else 0.0),
    RedisLater(redis, name),
    Announcer(HttpPublisher(settings.sink), PgOutbox(database)),
)

indexes = PgMemoryIndexes(settings.postgres_dsn, name)


def ready() -> None:
    """Raises Unavailable while memories cannot be stored."""
    database.ready()
