"""The database: its server, what was migrated, and who may do what there."""

from collections.abc import Iterator

from shared.doctor.checks import Found, NotLooked, check
from shared.domain.condition import DatabaseServer, Schema

_OLDEST_SERVER, _OLDEST_VECTOR = 150_000, (0, 8)
_CROWDED = 0.9
_LONG_SECONDS = 3600
_MIGRATE = "facteur migrate"
_TOLD = 5


@check("postgres-too-old", "database", why="PostgreSQL gets its fixes for five years; nothing older is tested here.")
def postgres_too_old(database: DatabaseServer) -> Iterator[Found]:
    if database.version < _OLDEST_SERVER:
        have, need = database.version // 10_000, _OLDEST_SERVER // 10_000
        yield Found(
            f"PostgreSQL {have} is in use", f"upgrade it to {need} or newer (pg_upgrade, or a dump into a new one)"
        )


@check("pgvector-missing", "database", why="Without it no migration runs, and there is no memory.")
def pgvector_missing(database: DatabaseServer) -> Iterator[Found]:
    if database.vector is None and database.vector_offered is None:
        yield Found(
            "the server has no extension `vector`",
            "install pgvector on the server (on Debian: apt install postgresql-18-pgvector), then: facteur migrate",
        )


@check("pgvector-too-old", "database", why="A search whose filters leave the index too few misses memories before 0.8.")
def pgvector_too_old(database: DatabaseServer) -> Iterator[Found]:
    version = database.vector or database.vector_offered
    if version is None or _numbers(version) >= _OLDEST_VECTOR:
        return
    newer = _numbers(database.vector_offered or "0") >= _OLDEST_VECTOR
    first = "" if newer else "install pgvector 0.8 or newer on the server, then, as its owner: "
    yield Found(f"the extension `vector` is {version}", f"{first}in psql: ALTER EXTENSION vector UPDATE;")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


@check("database-read-only", "database", why="Every function writes; each of their requests fails.")
def database_read_only(database: DatabaseServer) -> Iterator[Found]:
    if database.in_recovery:
        yield Found(
            "this server is a standby that only reads",
            "let FACTEUR_POSTGRES_DSN name the primary (with CloudNativePG the Service that ends in -rw)",
        )


@check("encoding-not-utf8", "database", why="Prompts in other scripts cannot be stored, and their tasks are refused.")
def encoding_not_utf8(database: DatabaseServer) -> Iterator[Found]:
    if (encoding := database.settings.get("server_encoding", "UTF8")) != "UTF8":
        yield Found(
            f"the database has the encoding {encoding}",
            "make a new one and migrate it: CREATE DATABASE facteur ENCODING 'UTF8' TEMPLATE template0;",
        )


@check("autovacuum-off", "database", why="Tables grow without end, statistics go stale, and searches become slow.")
def autovacuum_off(database: DatabaseServer) -> Iterator[Found]:
    for setting in ("autovacuum", "track_counts"):
        if database.settings.get(setting, "on") != "on":
            yield Found(f"{setting} is off", f"in psql: ALTER SYSTEM SET {setting} = on; SELECT pg_reload_conf();")


@check("writes-not-safe", "database", why="A crash of the machine leaves the database broken, not just a little older.")
def writes_not_safe(database: DatabaseServer) -> Iterator[Found]:
    for setting in ("fsync", "full_page_writes"):
        if database.settings.get(setting, "on") != "on":
            yield Found(f"{setting} is off", f"in psql: ALTER SYSTEM SET {setting} = on; SELECT pg_reload_conf();")


@check("connections-crowded", "database", why="Whoever gets no connection answers 503, and events are delivered again.")
def connections_crowded(database: DatabaseServer) -> Iterator[Found]:
    if database.connections >= usable_connections(database) * _CROWDED:
        yield Found(
            f"{database.connections} of {usable_connections(database)} connections are taken",
            "in psql: ALTER SYSTEM SET max_connections = 200; and restart the server; or lower max-scale of functions",
        )


def usable_connections(database: DatabaseServer) -> int:
    """How many connections there may be of roles that are no superuser."""
    known = database.settings
    return int(known.get("max_connections", "100")) - int(known.get("superuser_reserved_connections", "0"))


@check("transaction-open-for-hours", "database", why="Nothing is vacuumed, and no index is made, while it is open.")
def transaction_open_for_hours(database: DatabaseServer) -> Iterator[Found]:
    if database.oldest_transaction is None:
        raise NotLooked(
            "this role sees no transactions of others: as a superuser, in psql: GRANT pg_read_all_stats TO facteur;"
        )
    if database.oldest_transaction > _LONG_SECONDS:
        yield Found(
            f"a transaction has been open for {database.oldest_transaction / 3600:.1f} hours",
            "in psql: SELECT pid, application_name, xact_start FROM pg_stat_activity ORDER BY xact_start LIMIT 3; "
            "then, of the one that nobody needs: SELECT pg_terminate_backend(PID);",
        )


@check("migrations-missing", "schema", why="Functions answer 503, or fail in statements that need what is not there.")
def migrations_missing(schema: Schema) -> Iterator[Found]:
    if not schema.applied:
        yield Found("the database was never migrated", _MIGRATE)
    elif missing := sorted(schema.shipped.keys() - schema.applied.keys()):
        yield Found(f"not applied: {', '.join(missing)}", _MIGRATE)


@check(
    "migrations-from-the-future", "schema", why="This version writes what a newer one may have given another meaning."
)
def migrations_from_the_future(schema: Schema) -> Iterator[Found]:
    if ahead := sorted(schema.applied.keys() - schema.shipped.keys()):
        yield Found(
            f"the database has {', '.join(ahead)}, which this version does not know",
            "deploy the version that has them; or restore the backup from before the upgrade",
        )


@check("migration-changed", "schema", why="What the database has is not what this version was tested with.")
def migration_changed(schema: Schema) -> Iterator[Found]:
    both = schema.applied.keys() & schema.shipped.keys()
    if changed := sorted(each for each in both if schema.applied[each] != schema.shipped[each]):
        yield Found(
            f"changed after they were applied: {', '.join(changed)}",
            "install facteur as it was released; put changes of your own into a new migration",
        )


@check("index-missing", "schema", why="What it was for reads whole tables: slow at first, and in the end too slow.")
def index_missing(schema: Schema) -> Iterator[Found]:
    if schema.shipped.keys() <= schema.applied.keys():
        for each in sorted(schema.wanted_indexes.keys() - schema.indexes.keys()):
            yield Found(f"the index {each} is missing", f"in psql: {schema.wanted_indexes[each]}")


@check("index-invalid", "schema", why="It is written to and never read: somebody was killed while making it.")
def index_invalid(schema: Schema) -> Iterator[Found]:
    for each in schema.indexes.values():
        if not each.valid and not each.building:
            yield Found(
                f"the index {each.name} is invalid", f"in psql: REINDEX INDEX CONCURRENTLY codex_kb.{each.name};"
            )


@check("database-role-wide", "schema", why="Whoever breaks into one function has the whole database.")
def database_role_wide(schema: Schema) -> Iterator[Found]:
    for role in schema.roles:
        if role.powers:
            off = " ".join(f"NO{power}" for power in sorted(role.powers))
            yield Found(
                f"the role {role.name} is {', '.join(sorted(role.powers))}", f"in psql: ALTER ROLE {role.name} {off};"
            )
        elif role.owns:
            yield Found(
                f"the role {role.name} owns tables of codex_kb, or is a member of who does",
                f"in psql: REASSIGN OWNED BY {role.name} TO facteur; REVOKE facteur FROM {role.name}; "
                "then: facteur migrate",
            )
        elif role.beyond:
            yield Found(
                f"{role.name} may do more than its function needs: {_few(role.beyond)}",
                f"once no earlier release runs: {_MIGRATE} --revoke",
            )


@check("database-role-narrow", "schema", why="The function of the role answers 503, or fails, whenever it is asked.")
def database_role_narrow(schema: Schema) -> Iterator[Found]:
    for role in schema.roles:
        if role.lacks:
            yield Found(f"{role.name} may not do what its function needs: {_few(role.lacks)}", _MIGRATE)


def _few(rights: frozenset[str]) -> str:
    told = sorted(rights)
    return ", ".join(told[:_TOLD]) + (f" and {len(told) - _TOLD} more" if len(told) > _TOLD else "")
