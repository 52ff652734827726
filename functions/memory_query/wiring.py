"""Puts memory-query together. Nothing connects before the first request."""

from functions.memory_query.access import Access
from functions.memory_query.choose import Choose
from functions.memory_query.recall import PATIENCE_SECONDS, Recall
from functions.memory_query.settings import Settings
from shared.embeddings import configured, embedder, is_offline
from shared.embeddings.coalescing import Coalescing
from shared.embeddings.in_use import InUse
from shared.postgres.database import Database
from shared.postgres.memories import PgMemories
from shared.postgres.memory_learning import PgMemoryLearning
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.memory_search import PgMemorySearch
from shared.postgres.memory_trials import PgMemoryTrials
from shared.redis.connection import Connection
from shared.redis.fresh_vectors import RedisFreshVectors
from shared.redis.pace import RedisPace
from shared.redis.vectors import RedisVectors
from shared.settings import load
from shared.web.callers import ApiCallers

settings = load(Settings)
database = Database(settings.postgres_dsn)
caller = ApiCallers(settings.callers)
memories = PgMemories(database)
access = Access(memories, settings.token_keys, caller)
choose = Choose(PgMemoryTrials(database), settings.holdout_share)
learning = PgMemoryLearning(database)
search = PgMemorySearch(database)
cache = RedisVectors(settings.redis_url)


def _recall(model: str) -> Recall:
    # Who embeds offline has no API to be sparing with.
    sparing = bool(settings.api_key) and not is_offline(model)
    redis = Connection(settings.redis_url if sparing else None)
    api = embedder(model, settings.api_key, settings.base_url, PATIENCE_SECONDS)
    # Who asks alone does not wait for others.
    coalescing = Coalescing(api, RedisPace(redis, model), RedisFreshVectors(redis), gather=0.0)
    return Recall(search, memories, coalescing, cache)


recall = InUse(
    PgMemoryModels(database).in_use, configured(settings.api_key, settings.model, settings.dimension), _recall
)


def ready() -> None:
    """Raises Unavailable while memories cannot be read."""
    database.ready()
