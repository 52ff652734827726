"""Puts memory-query together. Nothing connects before the first request."""

from functions.memory_query.access import Access
from functions.memory_query.recall import Recall
from functions.memory_query.settings import Settings
from shared.embeddings import embedder
from shared.postgres.database import Database
from shared.postgres.memories import PgMemories
from shared.postgres.memory_search import PgMemorySearch
from shared.redis.vectors import RedisVectors
from shared.settings import load
from shared.web.callers import ApiCallers

settings = load(Settings)
database = Database(settings.postgres_dsn)
memories = PgMemories(database)
access = Access(memories, settings.token_keys, ApiCallers(settings.callers))
recall = Recall(
    PgMemorySearch(database),
    embedder(settings.api_key, settings.base_url, settings.model, settings.dimension),
    RedisVectors(settings.redis_url),
)


def ready() -> None:
    """Raises Unavailable while memories cannot be read."""
    database.ready()
