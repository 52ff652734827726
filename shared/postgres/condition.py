"""How the database is: server, schema, and what in it is late. Reads only, each question for three seconds at most."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from shared.domain.condition import Clock, DatabaseServer, Index, Model, Role, Schema, Work
from shared.domain.errors import Unavailable
from shared.postgres.database import Cursor, Database, Parameters, Row
from shared.postgres.grants import PUBLIC, Grant, differences
from shared.postgres.memory_candidates import EXACT
from shared.postgres.memory_indexes import index_name
from shared.postgres.memory_migration import LOCK
from shared.postgres.privileges import FUNCTIONS, role
from shared.postgres.shipped import digests, indexes

_CAREFUL = """
SELECT set_config('transaction_read_only', 'on', true), set_config('statement_timeout', '3000', true),
    set_config('jit', 'off', true)
"""
_POWERS = """array_remove(ARRAY[CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
    CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolbypassrls THEN 'BYPASSRLS' END,
    CASE WHEN rolreplication THEN 'REPLICATION' END], NULL)"""
_SERVER = """
SELECT current_setting('server_version_num')::int AS version,
    (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS vector,
    (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS vector_offered,
    (SELECT json_object_agg(name, setting) FROM pg_settings WHERE name = ANY(%(settings)s::text[])) AS settings,
    (SELECT sum(numbackends)::int FROM pg_stat_database) AS connections,
    CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE') THEN (
        SELECT coalesce(max(extract(epoch FROM now() - xact_start)), 0)::float FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend'
    ) END AS oldest_transaction,
    pg_is_in_recovery() AS in_recovery, to_regclass('public.facteur_migrations') IS NOT NULL AS has_ledger
"""
_SETTINGS = (
    "max_connections",
    "superuser_reserved_connections",
    "autovacuum",
    "track_counts",
    "fsync",
    "full_page_writes",
    "server_encoding",
)
_CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float AS now"
_APPLIED = "SELECT name, sha256 FROM public.facteur_migrations"
_INDEXES = """
SELECT relname AS name, indisvalid AS valid,
    EXISTS (SELECT FROM pg_stat_progress_create_index WHERE index_relid = indexrelid) AS building
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = 'codex_kb'
"""
_ROLES = f"""
SELECT rolname AS name, {_POWERS} AS powers,
    ARRAY(SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = 'codex_kb' AND relkind = 'r' AND pg_has_role(pg_roles.oid, relowner, 'USAGE')) AS owns
FROM pg_roles WHERE rolname = ANY(%(roles)s::text[])
"""  # noqa: S608  # the only thing put in is the list of powers above
_WORK = """
SELECT (SELECT count(*) FROM codex_kb.outbox WHERE created_at < now() - interval '5 minutes') AS outbox,
    (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float FROM codex_kb.outbox) AS outbox_age,
    (SELECT count(*) FROM codex_kb.dead_letters WHERE state = 'waiting') AS letters,
    count(*) FILTER (WHERE status = 'running'
        AND launched_at + (deadline_seconds + 330) * interval '1 second' < now()) AS overdue,
    count(*) FILTER (WHERE status = 'launching' AND lease_expires_at < now() - interval '10 minutes') AS launching,
    count(*) FILTER (WHERE status IN ('accepted', 'prepared') AND cancel_requested_at IS NULL
        AND updated_at < now() - interval '15 minutes') AS waiting,
    (SELECT count(*) FROM codex_kb.codex_tasks WHERE finished_at < now() - interval '15 minutes'
        AND settled_at IS NULL) AS unsettled,
    (SELECT count(*) FROM codex_kb.codex_task_memory_index WHERE waits
        AND created_at < now() - interval '30 minutes') AS unembedded
FROM codex_kb.codex_tasks WHERE finished_at IS NULL
"""
_MIGRATING = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = (%(lock)s::bigint >> 32)::oid AND objid = (%(lock)s::bigint & 4294967295)::oid) AS migrating
"""
_MODELS = """
SELECT model, state, extract(epoch FROM now() - since)::float AS age,
    (SELECT count(*) > %(exact)s FROM (SELECT FROM codex_kb.codex_task_memory_vectors AS made
        WHERE made.model = memory_models.model LIMIT %(exact)s + 1) AS counted) AS big
FROM codex_kb.memory_models
"""
_ODD = """
SELECT EXISTS (SELECT FROM codex_kb.codex_task_memory_vectors WHERE model = %(model)s
    AND length(sketch) <> substring(%(model)s FROM '[0-9]+$')::int) AS odd
"""


class PgCondition:
    """Looks at one database, in transactions that can write nothing."""

    def __init__(self, database: Database, dsn: str) -> None:
        self._database = database
        self._dsn = dsn

    def server(self) -> tuple[DatabaseServer, bool]:
        """The server, and whether it was ever migrated."""
        (row,) = self._rows(_SERVER, {"settings": list(_SETTINGS)})
        known = dict(row)
        migrated = known.pop("has_ledger")
        return DatabaseServer(**known), migrated

    def clock(self) -> Clock:
        """The server's clock."""
        self._rows(_CLOCK, {})  # the connection is there before the time is taken
        before = time.time()
        (row,) = self._rows(_CLOCK, {})
        after = time.time()
        return Clock("PostgreSQL", row["now"] - (before + after) / 2, (after - before) / 2)

    def schema(self, migrated: bool) -> Schema:
        """What was migrated, and what the roles of functions may do."""
        found = [Index(**row) for row in self._rows(_INDEXES, {})]
        return Schema(
            applied={row["name"]: row["sha256"] for row in self._rows(_APPLIED, {})} if migrated else {},
            shipped=digests(),
            indexes={index.name: index for index in found},
            wanted_indexes=indexes(),
            roles=tuple(self._roles()) if found and migrated else (),
        )

    def _roles(self) -> Iterator[Role]:
        """The roles of functions that there are, and what everybody has, as the role `public`."""
        rows = self._rows(_ROLES, {"roles": [role(function) for function in FUNCTIONS]})
        if not rows:
            return
        with _connected(), psycopg.connect(self._dsn, connect_timeout=5) as connection:
            connection.execute(_CAREFUL.encode())  # begins the one transaction that there is
            lacks, beyond = differences(connection)
        for row in [*rows, {"name": PUBLIC, "powers": (), "owns": ()}]:
            name = row["name"]
            yield Role(
                name=name,
                powers=frozenset(row["powers"]),
                owns=frozenset(row["owns"]),
                lacks=frozenset(map(_said, (one for one in lacks if one.role == name))),
                beyond=frozenset(map(_said, (one for one in beyond if one.role == name))),
            )

    def work(self) -> Work:
        """What is late; Unavailable where the tables are missing."""
        (row,) = self._rows(_WORK, {})
        (lock,) = self._rows(_MIGRATING, {"lock": LOCK})
        models = self._rows(_MODELS, {"exact": EXACT})
        return Work(**row, models=tuple(self._model(model, lock["migrating"]) for model in models))

    def _model(self, row: Row, migrating: bool) -> Model:
        try:
            (length,) = self._rows(_ODD, {"model": row["model"]})
        except Unavailable:  # every vector is read for it: of many that takes too long, and hides nothing else
            length = {"odd": None}
        return Model(**row, odd=length["odd"], index=index_name(row["model"]), migrating=migrating)

    def _rows(self, statement: str, parameters: Parameters) -> Sequence[Row]:
        def work(cursor: Cursor) -> Sequence[Row]:
            cursor.execute(_CAREFUL.encode())
            with _told():
                return cursor.execute(statement.encode(), parameters).fetchall()

        return self._database.transaction(work)


@contextmanager
def _told() -> Iterator[None]:
    """What a role may not read, and what takes too long, is no database that is away."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege:
        raise Unavailable("this role of the database may not read it all: give the owner's with --dsn") from None
    except psycopg.errors.QueryCanceled:
        raise Unavailable("the database took more than three seconds to answer") from None


@contextmanager
def _connected() -> Iterator[None]:
    try:
        with _told():
            yield
    except psycopg.Error as error:
        raise Unavailable(f"the rights of roles cannot be read ({type(error).__name__})") from None


def _said(grant: Grant) -> str:
    return f"{grant.verb} on {grant.name[-1]}"
