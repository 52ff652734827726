"""One look at each thing, by the door that leads to it. Drivers are loaded where something is asked for."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.artifacts.settings import S3Settings
from shared.doctor.addresses import addresses
from shared.doctor.checks import Unseen
from shared.doctor.in_cluster import look_at_cluster
from shared.doctor.reading import mistakes, told
from shared.domain.condition import Clock, Function
from shared.domain.errors import FacteurError, Rejected, Unavailable
from shared.settings import SettingsError, load

Parts = Mapping[str, object]
# Reason and fix, by what does not answer.
Away = Mapping[str, tuple[str, str]]

LOCAL, DATABASE = ("local", "addresses"), ("database", "schema", "work")
CLUSTER = ("cluster", "deployed", "rights")
_POSTGRES_FIX = "see that the server runs and that FACTEUR_POSTGRES_DSN has its address, a user and the password"
_REDIS_FIX = "see that the server runs and that FACTEUR_REDIS_URL has its address and the password"
_STORE_FIX = "see that the store runs and that MINIO_ENDPOINT has its address"


@dataclass(frozen=True)
class Asked:
    """What to look at. Empty is not looked at; of `functions` the settings of `environ` and its file are."""

    dsn: str = field(default="", repr=False)
    redis_url: str = field(default="", repr=False)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    functions: Sequence[str] = ()
    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str = "facteur"


@dataclass(frozen=True)
class Seen:
    """What one look has seen. `servers`: a server was asked, and may be one of those that are `away`."""

    parts: Parts
    clocks: tuple[Clock, ...] = ()
    away: Away = field(default_factory=dict)
    servers: bool = True


def _unseen(names: Sequence[str], why: str, wanted: bool) -> Seen:
    return Seen(dict.fromkeys(names, Unseen(why, wanted)), servers=False)


def _away(names: Sequence[str], server: str, error: FacteurError, fix: str) -> Seen:
    unseen = Unseen(f"{server} does not answer", wanted=True)
    return Seen(dict.fromkeys(names, unseen), away={server: (str(error), fix)})


def settings(asked: Asked) -> Seen:
    """The settings of functions here, and who listens where they lead to."""
    if not asked.functions:
        why = "no settings were given: name their file with --config, or functions with --function"
        return _unseen(LOCAL, why, wanted=False)
    known = told(asked.environ)
    local = tuple(Function(each, known, mistakes(each, asked.environ)) for each in asked.functions)
    return Seen({"local": local, "addresses": addresses(known)}, servers=False)


def database(asked: Asked) -> Seen:
    """Server, schema and work."""
    if not asked.dsn:
        return _unseen(DATABASE, "no database was named: give it with --dsn", wanted=False)
    from shared.postgres.condition import PgCondition
    from shared.postgres.database import Database

    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # what it would warn of is found
    try:
        opened = Database(asked.dsn, size=1, timeout=5)
    except Unavailable as error:
        return _away(DATABASE, "PostgreSQL", error, _POSTGRES_FIX)
    try:
        condition = PgCondition(opened, asked.dsn)
        server, migrated = condition.server()
        schema = _or_unseen(lambda: condition.schema(migrated))
        work = _or_unseen(condition.work) if migrated else Unseen("the database has no tables yet", wanted=False)
        return Seen({"database": server, "schema": schema, "work": work}, (condition.clock(),))
    except FacteurError as error:
        return _away(DATABASE, "PostgreSQL", error, _POSTGRES_FIX)
    finally:
        opened.close()


def _or_unseen(look: Callable[[], object]) -> object:
    try:
        return look()
    except FacteurError as error:
        return Unseen(str(error), wanted=True)


def redis(asked: Asked) -> Seen:
    """Redis."""
    if not asked.redis_url:
        return _unseen(("redis",), "no Redis was named: give it with --redis", wanted=False)
    try:
        from shared.redis.condition import look

        found, clock = look(asked.redis_url)
    except ModuleNotFoundError:
        return _unseen(("redis",), "the package is missing: pip install 'facteur[redis]'", wanted=True)
    except Unavailable as error:
        return _away(("redis",), "Redis", error, _REDIS_FIX)
    return Seen({"redis": found}, (clock,))


def store(asked: Asked) -> Seen:
    """The bucket of artifacts."""
    try:
        found = load(S3Settings, asked.environ)
    except SettingsError:
        return _unseen(("bucket",), "the settings of the artifact store are wrong", wanted=True)
    if not found.server:
        return _unseen(("bucket",), "no artifact store was named: MINIO_ENDPOINT is not set here", wanted=False)
    from shared.artifacts.condition import look

    try:
        bucket, clock = look(found)
    except Unavailable as error:
        return _away(("bucket",), "the artifact store", error, _STORE_FIX)
    return Seen({"bucket": bucket}, (clock,) if clock else ())


def cluster(asked: Asked) -> Seen:
    """The objects of a cluster, the settings that functions have there, and rights."""
    if asked.kubeconfig is None and asked.context is None:
        return _unseen(CLUSTER, "no cluster was named: give --kubeconfig or --context", wanted=False)
    try:
        from shared.kubernetes.inspection import Inspection

        inspection = Inspection(asked.kubeconfig, asked.context)
        clock = inspection.clock()
        parts = look_at_cluster(inspection, asked.namespace, time.time())
    except ModuleNotFoundError:
        return _unseen(CLUSTER, "the Kubernetes client is missing: pip install 'facteur[cluster]'", wanted=True)
    except (Rejected, Unavailable) as error:
        return _unseen(CLUSTER, str(error), wanted=True)
    return Seen(parts, (clock,) if clock else (), servers=False)


# By the parts that each of them sees.
LOOKS: Mapping[tuple[str, ...], Callable[[Asked], Seen]] = {
    LOCAL: settings,
    DATABASE: database,
    ("redis",): redis,
    ("bucket",): store,
    CLUSTER: cluster,
}
