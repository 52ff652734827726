"""Roles of functions: each may do what its data sheet says, and PostgreSQL refuses everything else."""

import psycopg
import pytest
from psycopg import sql

from shared.domain.errors import Unavailable
from shared.postgres import grants
from shared.postgres.migrations import MigrationError, migrate
from shared.postgres.privileges import FUNCTIONS, privileges, role, timeouts
from shared.postgres.roles import RoleError, as_role, generated
from tests.component.roles import dsn_of
from tests.patience import patient

# Each asks for one privilege, and touches no row.
ATTEMPTS = {
    "SELECT": "SELECT 1 FROM {table} LIMIT 0",
    "INSERT": "INSERT INTO {table} ({column}) SELECT NULL WHERE false",
    "UPDATE": "UPDATE {table} SET {column} = DEFAULT WHERE false",
    "DELETE": "DELETE FROM {table} WHERE false",
    "TRUNCATE": "TRUNCATE {table} CASCADE",
    "REFERENCES": "ALTER TABLE {table} ADD CONSTRAINT own CHECK (true)",
    "LOCK": "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
    "DROP": "DROP TABLE {table} CASCADE",
    "TRIGGER": "CREATE TRIGGER own BEFORE INSERT ON {table} EXECUTE FUNCTION codex_kb.spell_source_type()",
    "INDEX": "CREATE INDEX ON {table} ((1))",
    "OWNER": "ALTER TABLE {table} OWNER TO CURRENT_USER",
}
CREATIONS = [
    "CREATE TABLE codex_kb.own (id int)",
    "CREATE TABLE public.own (id int)",
    "CREATE TEMPORARY TABLE own (id int)",
    "CREATE VIEW codex_kb.own AS SELECT 1",
    "CREATE SEQUENCE codex_kb.own",
    "CREATE TYPE codex_kb.own AS (id int)",
    "CREATE FUNCTION codex_kb.own() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA own",
    "CREATE ROLE own",
    "DROP EXTENSION vector CASCADE",
    "CREATE PUBLICATION own FOR ALL TABLES",
    "CREATE EVENT TRIGGER own ON ddl_command_end EXECUTE FUNCTION codex_kb.spell_source_type()",
]
# What PostgreSQL does outside of transactions alone.
ALONE = [
    "CREATE DATABASE own",
    "ALTER SYSTEM SET work_mem = '1GB'",
    "CREATE INDEX CONCURRENTLY ON codex_kb.codex_task_memory_vectors (made_at)",
    "DROP INDEX CONCURRENTLY codex_kb.idx_codex_tasks_queue",
    "REINDEX INDEX CONCURRENTLY codex_kb.idx_codex_tasks_queue",
]
FORBIDDEN = [
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT * FROM public.facteur_migrations",
    "UPDATE public.facteur_migrations SET name = name",
    "DELETE FROM public.facteur_migrations",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY codex_kb.codex_tasks TO '/tmp/own'",
    "ALTER SCHEMA codex_kb OWNER TO CURRENT_USER",
    "SET ROLE facteur",
    "SET SESSION AUTHORIZATION facteur",
    "GRANT SELECT ON codex_kb.reflections TO PUBLIC",
    "SELECT nextval('codex_kb.own_numbers')",
    *(f"ALTER ROLE {role(function)} PASSWORD 'known'" for function in FUNCTIONS[:1]),
    *(f"DROP ROLE {role(function)}" for function in FUNCTIONS),
]


@pytest.fixture
def granted(dsn: str) -> str:
    """The DSN of a database with its grants: those of a database itself are not copied with a template."""
    migrate(dsn)
    return dsn


def connect(dsn: str, function: str) -> psycopg.Connection:
    return psycopg.connect(dsn_of(function, dsn), autocommit=True)


def refused(connection: psycopg.Connection, statement: str) -> bool:
    """Whether it is refused for want of a privilege; otherwise it is undone."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


def tables(dsn: str) -> dict[str, str]:
    """Each table, with a column of it."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT table_name, min(column_name) FILTER (WHERE is_generated = 'NEVER')"
            " FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)"
            " WHERE table_schema = 'codex_kb' AND table_type = 'BASE TABLE'"
            " GROUP BY table_name"
        ).fetchall()
    return dict(rows)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_is_not_on_the_sheet_is_refused(granted: str, function: str) -> None:
    may = set(privileges(function))
    columns = tables(granted)
    done = set()
    with connect(granted, function) as connection:
        for table, column in columns.items():
            for verb, attempt in ATTEMPTS.items():
                name = sql.Identifier("codex_kb", table).as_string(connection)
                if not refused(connection, attempt.format(table=name, column=sql.Identifier(column).as_string(None))):
                    done.add((verb, table))
    assert len(columns) > 25
    # To lock a table takes a right to change it, and a mode that holds up nobody who reads is not asked for here.
    lockable = {("LOCK", table) for verb, table in may if verb in ("UPDATE", "DELETE")}
    assert {one for one in done if one[0] != "LOCK"} == {one for one in may if one[0] in ATTEMPTS}
    assert {one for one in done if one[0] == "LOCK"} == lockable


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_makes_nothing_and_sees_no_password(granted: str, function: str) -> None:
    with psycopg.connect(granted, autocommit=True) as owner:
        owner.execute("CREATE SEQUENCE codex_kb.own_numbers")
    with connect(granted, function) as connection:
        allowed = [statement for statement in CREATIONS + FORBIDDEN if not refused(connection, statement)]
        for statement in ALONE:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
    # Whose own password it is, may change it.
    assert allowed == ([f"ALTER ROLE {role(function)} PASSWORD 'known'"] if function == FUNCTIONS[0] else [])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_row_is_locked_without_the_right_to_change_it(granted: str, function: str) -> None:
    locked = [one.table for one in privileges(function) if one.verb.startswith("UPDATE (")]
    with connect(granted, function) as connection:
        for table in locked:
            name = f"codex_kb.{table}"
            assert not refused(connection, f"SELECT FROM {name} FOR KEY SHARE")
            assert refused(connection, ATTEMPTS["UPDATE"].format(table=name, column="content"))
            assert refused(connection, ATTEMPTS["DELETE"].format(table=name))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_session_of_a_function_has_its_timeouts(granted: str, function: str) -> None:
    with connect(granted, function) as connection:
        for name, value in timeouts(function)._asdict().items():
            assert connection.execute("SELECT current_setting(%s)", [name]).fetchone() == (value,)


def test_a_statement_that_takes_too_long_is_ended_and_tried_again_by_who_asked(granted: str) -> None:
    database = patient(f"{granted}?options=-c%20statement_timeout%3D50ms")
    with pytest.raises(Unavailable):
        database.do("SELECT pg_sleep(10)", {})
    database.close()


def test_a_transaction_that_forgets_its_client_is_ended(granted: str) -> None:
    database = patient(f"{granted}?options=-c%20idle_in_transaction_session_timeout%3D50ms")

    def work(cursor: psycopg.Cursor[psycopg.rows.DictRow]) -> None:
        cursor.execute("SELECT 1")
        with psycopg.connect(granted) as other:
            other.execute("SELECT pg_sleep(0.5)")
        cursor.execute("SELECT 1")

    with pytest.raises(Unavailable):
        database.transaction(work)
    database.close()


def test_a_function_that_may_not_yet_says_what_to_do(granted: str) -> None:
    with psycopg.connect(granted, autocommit=True) as owner:
        owner.execute(f"REVOKE ALL ON codex_kb.codex_tasks FROM {role('callback')}".encode())
    database = patient(dsn_of("callback", granted))
    with pytest.raises(Unavailable, match="facteur migrate"):
        database.ready()
    database.close()


def test_what_is_held_beyond_the_sheet_is_told_and_taken_away_when_asked(granted: str) -> None:
    callback = role("callback")
    wide = (
        f"{callback} may do more than this release needs;"
        " once no earlier release runs, take it away: facteur migrate --revoke"
    )
    too_much = [
        f"GRANT ALL ON ALL TABLES IN SCHEMA codex_kb TO {callback}",
        f"GRANT SELECT (prompt), UPDATE (prompt) ON codex_kb.codex_task_briefs TO {callback}",
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA codex_kb TO {callback}",
        f"GRANT CREATE ON SCHEMA codex_kb TO {callback}",
        f"GRANT SELECT ON public.facteur_migrations TO {callback}",
        "GRANT SELECT ON codex_kb.ideas TO PUBLIC",
    ]
    with psycopg.connect(granted, autocommit=True) as owner:
        assert grants.differences(owner) == (set(), set())
        for statement in too_much:
            owner.execute(statement.encode())
        owner.execute(sql.SQL("REVOKE SELECT ON codex_kb.tasks FROM {}").format(sql.Identifier(callback)))
        lacking, beyond = grants.differences(owner)
        assert lacking == {grants.Grant(callback, "TABLE", ("codex_kb", "tasks"), "SELECT")}
        assert len(beyond) > 100
        said: list[str] = []
        grants.grant(owner, said.append)
        assert said[1:] == [f"changed what {callback}, public may do", wide]
        # A function of an earlier release goes on; no release rests on what everybody has.
        assert grants.differences(owner) == (set(), {one for one in beyond if one.role == callback})
        said.clear()
        grants.grant(owner, said.append)
        assert said[1:] == [wide]
        said.clear()
        grants.grant(owner, said.append, revoke=True)
        assert said[1:] == [f"changed what {callback} may do"]
        assert grants.differences(owner) == (set(), set())
        said.clear()
        grants.grant(owner, said.append, revoke=True)
        assert len(said) == 1


def test_who_may_connect_to_the_database_stays(granted: str) -> None:
    with psycopg.connect(granted, autocommit=True) as owner:
        name = owner.info.dbname
        may = "SELECT has_database_privilege('public', current_database(), 'CONNECT')"
        assert owner.execute(may.encode()).fetchone() == (True,)
        owner.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC".encode())
        grants.grant(owner)
        assert owner.execute(may.encode()).fetchone() == (False,)


def test_migrating_says_which_roles_it_found(empty_dsn: str, granted: str) -> None:
    said: list[str] = []
    migrate(empty_dsn, said.append)
    assert said[-2] == f"roles of functions: {', '.join(sorted(map(role, FUNCTIONS)))}"
    assert said[-1] == f"changed what {', '.join(sorted(['public', *map(role, FUNCTIONS)]))} may do"
    with psycopg.connect(granted) as owner:
        assert grants.grant(owner) == sorted(map(role, FUNCTIONS))


def test_roles_are_made_once_with_passwords_that_are_told_once(other_server: str) -> None:
    told: list[dict[str, str]] = []
    for _ in range(2):
        migrate(other_server, make_roles=generated(lambda made: told.append(dict(made))))
    made, again = told
    assert set(made) == set(FUNCTIONS)
    assert not again
    assert len(set(made.values())) == len(FUNCTIONS)
    for function, password in made.items():
        with psycopg.connect(as_role(other_server, function, password)) as connection:
            assert connection.info.user == role(function)
    with psycopg.connect(other_server) as owner:
        too_much = owner.execute(
            "SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'facteur_')"
            " AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)"
        )
        assert not too_much.fetchall()
    with pytest.raises(MigrationError, match="may not migrate"):
        migrate(as_role(other_server, "callback", made["callback"]))


def test_roles_whose_passwords_nobody_heard_are_not_made(other_server: str) -> None:
    def tell(_: object) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        migrate(other_server, make_roles=generated(tell))
    with psycopg.connect(other_server) as owner:
        assert grants.grant(owner) == []


def test_an_owner_who_may_make_no_roles_is_told_so_and_what_to_run(other_server: str) -> None:
    said: list[str] = []
    with psycopg.connect(other_server, autocommit=True) as superuser:
        superuser.execute("CREATE ROLE owning LOGIN PASSWORD 'of-the-owner'")
        superuser.execute("CREATE DATABASE owned OWNER owning")
        superuser.execute("CREATE ROLE facteur_callback LOGIN")
    place = other_server.rpartition("@")[2].partition("/")[0]
    with psycopg.connect(other_server.replace("/postgres", "/owned"), autocommit=True) as superuser:
        superuser.execute("CREATE EXTENSION vector")
    owners = f"postgresql://owning:of-the-owner@{place}/owned"
    with pytest.raises(RoleError, match="roles cannot be made"):
        migrate(owners, make_roles=generated(lambda _: None))
    migrate(owners, said.append)
    assert said[:2] == ["roles of functions: facteur_callback", "changed what facteur_callback, public may do"]
    assert said[2].endswith('ALTER ROLE "facteur_callback" SET "statement_timeout" = \'30s\'')
    with psycopg.connect(owners) as owner:
        assert grants.differences(owner) == (set(), set())


def test_a_connection_string_of_either_kind_gets_the_role() -> None:
    password = "p@ss/word:with?signs"
    for dsn in (
        "postgresql://owner:secret@host:5433/facteur?sslmode=require",
        "postgresql://host:5433/facteur?user=owner&password=secret",
        "postgresql://owner:secret@host:5433/facteur?us%65r=owner&passw%6frd=secret",
        "host=host port=5433 dbname=facteur user=owner password=secret",
    ):
        assert "secret" not in as_role(dsn, "codex-intake", password)
        said = psycopg.conninfo.conninfo_to_dict(as_role(dsn, "codex-intake", password))
        assert (said["user"], said["password"]) == ("facteur_codex_intake", password)
        assert (said["host"], said["port"], said["dbname"]) == ("host", "5433", "facteur")
