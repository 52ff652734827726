"""Puts embedder together. Nothing connects before the first event."""

from secrets import token_bytes

from functions.embedder.embed import Embed
from functions.embedder.retain import Retain
from functions.embedder.settings import Settings
from shared.broker.publisher import HttpPublisher
from shared.embeddings import configured, embedder, is_offline
from shared.embeddings.coalescing import GATHER_SECONDS, Coalescing
from shared.embeddings.in_use import InUse
from shared.events.announcer import Announcer
from shared.postgres.database import Database
from shared.postgres.memories import PgMemories
from shared.postgres.memory_indexes import PgMemoryIndexes
from shared.postgres.memory_learning import PgMemoryLearning
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.memory_retention import PgMemoryRetention
from shared.postgres.outbox import PgOutbox
from shared.redis.connection import Connection
from shared.redis.fresh_vectors import RedisFreshVectors
from shared.redis.later import RedisLater
from shared.redis.pace import RedisPace
from shared.settings import load

settings = load(Settings)
database = Database(settings.postgres_dsn)
memories = PgMemories(database)
learning = PgMemoryLearning(database)
announcer = Announcer(HttpPublisher(settings.sink), PgOutbox(database))
models = PgMemoryModels(database)
retain = Retain(PgMemoryRetention(database), dict(settings.retention), lambda: token_bytes(32))


def _made(model: str) -> tuple[Embed, PgMemoryIndexes]:
    # Who embeds offline has no API to be sparing with.
    sparing = bool(settings.api_key) and not is_offline(model)
    redis = Connection(settings.redis_url if sparing else None)
    api = embedder(model, settings.api_key, settings.base_url)
    gather = GATHER_SECONDS if sparing else 0.0
    coalescing = Coalescing(api, RedisPace(redis, model), RedisFreshVectors(redis), gather)
    embed = Embed(memories, coalescing, RedisLater(redis, model), announcer, lambda: models.in_use(model) == model)
    return embed, PgMemoryIndexes(settings.postgres_dsn, model)


_in_use = InUse(models.in_use, configured(settings.api_key, settings.model, settings.dimension), _made)


def embed() -> Embed:
    """For the model in use."""
    return _in_use()[0]


def indexes() -> PgMemoryIndexes:
    """Of the model in use."""
    return _in_use()[1]


def ready() -> None:
    """Raises Unavailable while memories cannot be stored."""
    database.ready()
