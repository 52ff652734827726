"""A real database: fresh and migrated it is well; and each thing that is broken in it is found, and nothing else."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
import redis

from shared.doctor.checks import Report
from shared.doctor.examination import look
from shared.doctor.looks import Asked
from shared.domain.ids import run_id
from shared.events.catalogue import TaskAccepted, announce
from shared.local.servers.redis import Redis
from shared.postgres.condition import PgCondition
from shared.postgres.database import Database
from shared.postgres.migrations import migrate
from shared.postgres.scratch import scratch_database
from shared.postgres.shipped import indexes
from shared.postgres.tasks import PgTasks
from tests.component.roles import dsn_of
from tests.integration.postgres.conftest import request

LATE = "now() - interval '1 day'"


def examined(dsn: str, redis_url: str = "") -> Report:
    return look(Asked(dsn=dsn, redis_url=redis_url))


def found(dsn: str) -> set[str]:
    return {finding.check for finding in examined(dsn).findings}


@pytest.fixture
def dsn(dsn: str) -> str:
    """A database that was migrated itself, and is no copy: what everybody may do with one is not copied."""
    migrate(dsn)
    return dsn


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def test_a_fresh_install_has_nothing_wrong(dsn: str, redis_url: str) -> None:
    report = examined(dsn, redis_url)
    assert report.findings == ()
    assert report.looked > 30
    assert report.exit_code == 0
    assert not [missed for missed in report.not_looked if missed.wanted]


def test_every_index_of_the_migrations_is_known(connection: psycopg.Connection) -> None:
    named = connection.execute("SELECT indexname FROM pg_indexes WHERE indexname LIKE 'idx\\_%'").fetchall()
    assert {name for (name,) in named} == set(indexes())


@pytest.fixture
def other_role(dsn: str, connection: psycopg.Connection) -> Iterator[str]:
    """The DSN of a role that may log in, and nothing else yet."""
    name = f"other_{uuid4().hex[:8]}"
    connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'a-password'".encode())
    yield _of(dsn, name, "a-password")
    for statement in ("REASSIGN OWNED BY {} TO CURRENT_USER", "DROP OWNED BY {}", "DROP ROLE {}"):
        connection.execute(statement.format(name).encode())


def _of(dsn: str, name: str, password: str) -> str:
    known = urlsplit(dsn)
    return urlunsplit(known._replace(netloc=f"{name}:{password}@{known.hostname}:{known.port}"))


def _name(dsn: str) -> str:
    return urlsplit(dsn).username or ""


def test_looking_writes_nothing_so_who_may_only_read_sees_everything(
    other_role: str, connection: psycopg.Connection
) -> None:
    name = _name(other_role)
    connection.execute(f"GRANT pg_read_all_data, pg_read_all_stats TO {name}".encode())
    connection.execute(f"ALTER ROLE {name} SET default_transaction_read_only = on".encode())
    report = examined(other_role)
    assert report.findings == ()
    assert not [missed for missed in report.not_looked if missed.wanted]


def test_an_owner_who_is_no_superuser_sees_who_is_connected_and_says_what_is_not_seen(
    other_role: str, dsn: str, connection: psycopg.Connection
) -> None:
    _give(connection, _name(other_role))
    missed = {check: each.why for each in examined(other_role).not_looked for check in each.checks if each.wanted}
    assert missed.keys() == {"transaction-open-for-hours"}
    assert "GRANT pg_read_all_stats" in missed["transaction-open-for-hours"]
    database = Database(other_role, size=1)
    with psycopg.connect(dsn), psycopg.connect(dsn):
        server, _ = PgCondition(database, other_role).server()
    database.close()
    assert server.connections >= 4  # those two, that of the fixture and its own


def _give(connection: psycopg.Connection, owner: str) -> None:
    """Makes a role the owner of the database, its schema and its tables."""
    tables = connection.execute(
        "SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE relkind = 'r' AND (nspname = 'codex_kb' OR relname = 'facteur_migrations')"
    ).fetchall()
    named = connection.execute("SELECT current_database()").fetchone()
    assert named
    for kind, name in [
        ("DATABASE", f'"{named[0]}"'),
        ("SCHEMA", "codex_kb"),
        *(("TABLE", table) for (table,) in tables),
    ]:
        connection.execute(f"ALTER {kind} {name} OWNER TO {owner}".encode())


def test_the_role_of_a_function_is_told_to_give_the_owners(postgres_server: str, migrated_template: str) -> None:
    with scratch_database(postgres_server, migrated_template) as dsn:
        report = examined(dsn_of("callback", dsn))
    assert report.findings == ()
    why = {missed.why for missed in report.not_looked if missed.wanted}
    assert "this role of the database may not read it all: give the owner's with --dsn" in why
    assert not [each for each in why if "facteur migrate" in each]


def test_a_database_that_was_never_migrated_is_found(empty_dsn: str) -> None:
    report = examined(empty_dsn)
    assert [(finding.check, finding.fix) for finding in report.findings] == [("migrations-missing", "facteur migrate")]


BREAKS: dict[str, str] = {
    "migrations-missing": "DELETE FROM public.facteur_migrations WHERE name LIKE '0018%'",
    "migrations-from-the-future": "INSERT INTO public.facteur_migrations VALUES ('9999_future.sql', 'a')",
    "migration-changed": "UPDATE public.facteur_migrations SET sha256 = 'another' WHERE name LIKE '0001%'",
    "index-missing": "DROP INDEX codex_kb.idx_codex_tasks_queue",
    "index-invalid": "UPDATE pg_index SET indisvalid = false "
    "WHERE indexrelid = 'codex_kb.idx_outbox_created'::regclass",
    "outbox-stuck": "INSERT INTO codex_kb.outbox (id, event, created_at) "
    "VALUES (gen_random_uuid(), '', now() - interval '1 day')",
    "dead-letters-waiting": "INSERT INTO codex_kb.dead_letters (id, source, event_id, type, destination, event) "
    "VALUES (gen_random_uuid(), 'a', 'a', 'a', 'a', '')",
    "memory-dimension-wrong": "INSERT INTO codex_kb.memory_models (model, state) VALUES ('odd:2', 'active'); "
    "INSERT INTO codex_kb.codex_task_memory_vectors (model, content_hash, embedding) VALUES ('odd:2', 'a', '[1,2,3]')",
    "memory-migration-half": "INSERT INTO codex_kb.memory_models (model, state, since) "
    "VALUES ('a:2', 'filling', now() - interval '1 day')",
    "memory-index-missing": "INSERT INTO codex_kb.memory_models (model, state) VALUES ('a:2', 'active'); "
    "INSERT INTO codex_kb.codex_task_memory_vectors (model, content_hash, embedding) "
    "SELECT 'a:2', int4send(number), '[1,2]' FROM generate_series(1, 10001) AS number",
}


@pytest.mark.parametrize("check", sorted(BREAKS))
def test_what_is_broken_is_found_and_nothing_else(dsn: str, connection: psycopg.Connection, check: str) -> None:
    connection.execute(BREAKS[check].encode())
    assert found(dsn) == {check}


_SLOW = """
CREATE FUNCTION slow(value bit varying) RETURNS bit varying LANGUAGE plpgsql STABLE AS
    'BEGIN PERFORM pg_sleep(60); RETURN value; END';
ALTER TABLE codex_kb.codex_task_memory_vectors RENAME TO many;
CREATE VIEW codex_kb.codex_task_memory_vectors AS SELECT model, content_hash, slow(sketch) AS sketch FROM codex_kb.many
"""


def test_vectors_that_are_too_many_to_look_at_hide_nothing_else(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(BREAKS["outbox-stuck"].encode())
    connection.execute(BREAKS["memory-dimension-wrong"].encode())
    connection.execute(_SLOW.encode())
    report = examined(dsn)
    assert "outbox-stuck" in {finding.check for finding in report.findings}
    (missed,) = [each for each in report.not_looked if each.wanted]
    assert (missed.checks, "too many vectors" in missed.why) == (("memory-dimension-wrong",), True)


def test_the_fix_of_a_missing_index_mends_it(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute("DROP INDEX codex_kb.idx_codex_tasks_queue")
    (finding,) = examined(dsn).findings
    connection.execute(finding.fix.removeprefix("in psql: ").encode())
    assert found(dsn) == set()


def test_the_fix_of_an_invalid_index_mends_it(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(BREAKS["index-invalid"].encode())
    (finding,) = examined(dsn).findings
    connection.execute(finding.fix.removeprefix("in psql: ").encode())
    assert found(dsn) == set()


STATES = {
    "runs-overdue": f"status = 'running', launched_at = {LATE}, deadline_seconds = 60",
    "launches-stuck": f"status = 'launching', lease_expires_at = {LATE}",
    "tasks-not-launched": f"status = 'prepared', updated_at = {LATE}",
    "runs-unsettled": f"status = 'failed', finished_at = {LATE}, settled_at = NULL",
}


@pytest.mark.parametrize("check", sorted(STATES))
def test_a_run_that_stands_still_is_found(
    dsn: str, database: Database, connection: psycopg.Connection, check: str
) -> None:
    PgTasks(database).accept(request(), announce(TaskAccepted(run_id("delivery-1")), "codex-intake", None), None)
    assert found(dsn) == set()
    connection.execute(f"UPDATE codex_kb.codex_tasks SET {STATES[check]}".encode())  # noqa: S608
    assert found(dsn) == {check}


def test_a_transaction_that_is_open_is_seen_with_its_age(dsn: str, database: Database) -> None:
    with psycopg.connect(dsn) as other:
        other.execute("SELECT 1")
        server, _ = PgCondition(database, dsn).server()
        assert server.oldest_transaction
        assert server.oldest_transaction > 0


@pytest.fixture
def unchanged(dsn: str) -> Iterator[None]:
    """The roles of the server, which other tests use, as they were."""
    yield
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ALTER ROLE facteur_callback NOSUPERUSER")


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("ALTER ROLE facteur_callback SUPERUSER", "database-role-wide"),
        ("GRANT DELETE ON codex_kb.codex_tasks TO facteur_callback", "database-role-wide"),
        ("GRANT SELECT ON codex_kb.codex_tasks TO PUBLIC", "database-role-wide"),
        ("REVOKE INSERT ON codex_kb.outbox FROM facteur_callback", "database-role-narrow"),
    ],
    ids=["superuser", "more", "everybody", "less"],
)
def test_a_role_that_may_more_or_less_is_found(
    dsn: str, unchanged: None, connection: psycopg.Connection, statement: str, check: str
) -> None:
    connection.execute(statement.encode())
    assert found(dsn) == {check}


def test_a_server_that_is_away_is_found_and_what_it_has_is_not_looked_at() -> None:
    report = examined(f"postgresql://{uuid4()}@127.0.0.1:1/none", "redis://127.0.0.1:1")
    assert [finding.check for finding in report.findings] == ["server-away", "server-away"]
    assert report.exit_code == 1
    assert {"PostgreSQL does not answer", "Redis does not answer"} <= {missed.why for missed in report.not_looked}


def test_a_look_that_breaks_hides_no_other(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(BREAKS["outbox-stuck"].encode())
    report = look(Asked(dsn=dsn, functions=("a-function-that-there-is-not",)))
    assert [finding.check for finding in report.findings] == ["outbox-stuck"]
    assert "local: the look broke (ModuleNotFoundError)" in {missed.why for missed in report.not_looked}


def test_a_password_is_never_told(dsn: str) -> None:
    wrong = urlsplit(dsn)
    secret = "a-password-that-must-never-be-told"
    report = examined(urlunsplit(wrong._replace(netloc=f"facteur:{secret}@{wrong.hostname}:{wrong.port}")))
    assert [finding.check for finding in report.findings] == ["server-away"]
    assert secret not in repr(report)
    assert secret not in repr(Asked(dsn=secret, redis_url=secret))


def test_a_redis_is_judged_by_what_it_says(tmp_path: Path) -> None:
    with Redis(tmp_path) as server:
        with redis.Redis.from_url(server.url) as client:
            assert examined("", server.url).findings == ()
            client.config_set("appendonly", "no")
            client.config_set("maxmemory", "100mb")
            client.config_set("maxmemory-policy", "allkeys-lru")
        report = examined("", server.url)
    assert {finding.check for finding in report.findings} == {"redis-forgets", "redis-evicts"}
