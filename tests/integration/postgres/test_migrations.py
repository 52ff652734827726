"""Migrations: applied once, whole, in order, by whoever comes first, whatever was killed before."""

import re
import threading
from importlib.resources import files
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg
import pytest

from shared.domain.errors import Unavailable
from shared.postgres import migrations
from shared.postgres.migrations import MigrationError, migrate

NAMES = sorted(entry.name for entry in files("migrations").iterdir() if entry.name.endswith(".sql"))


def tables(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'codex_kb'").fetchall()
    return {row[0] for row in rows}


def test_every_file_is_applied_once_in_order(empty_dsn: str) -> None:
    said: list[str] = []
    assert migrate(empty_dsn, said.append) == NAMES
    assert [line for line in said if line.startswith("applied")] == [f"applied {name}" for name in NAMES]
    assert migrate(empty_dsn) == []


def test_the_tables_that_the_contract_names_exist(dsn: str) -> None:
    earlier = {"ideas", "tasks", "task_runs", "task_dependencies", "task_runs_history", "run_events", "artifacts"}
    earlier |= {"reflections", "policy_checks", "run_metrics"}
    ours = {"codex_tasks", "codex_task_snapshots", "codex_task_events", "codex_task_memory_index"}
    ours |= {
        "outbox",
        "inbox",
        "dead_letters",
        "memory_exposure",
        "memory_models",
        "memory_tombstones",
        "memory_forgettings",
        "memory_trials",
        "memory_effects",
        "memory_sums",
        "memory_scopes",
        "codex_task_memory_vectors",
        "codex_task_uploads",
        "coalesced_deliveries",
        "codex_task_briefs",
        "discord_cards",
    }
    assert tables(dsn) == earlier | ours


def test_the_query_of_the_contract_works(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "SELECT tasks.id, tasks.stage, task_runs.delivery_id FROM codex_kb.tasks "
            "JOIN codex_kb.task_runs ON task_runs.task_id = tasks.id"
        )


STATEMENTS = [
    (number, statement)
    for number, name in enumerate(NAMES)
    for statement in range(len(re.findall(r";\s*$", (files("migrations") / name).read_text(), re.MULTILINE)))
]


@pytest.mark.parametrize("killed_after", range(0, len(STATEMENTS), 3))
def test_a_kill_at_any_statement_leaves_a_database_that_migrates(empty_dsn: str, killed_after: int) -> None:
    kill_own_session_after(empty_dsn, killed_after)
    with pytest.raises((Unavailable, psycopg.OperationalError)):
        migrate(empty_dsn)
    disarm(empty_dsn)
    migrate(empty_dsn)
    assert migrate(empty_dsn) == []
    assert "codex_task_memory_index" in tables(empty_dsn)


def kill_own_session_after(dsn: str, commands: int) -> None:
    """Ends the session that migrates, as a kill would, when it has run so many DDL commands."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE SEQUENCE public.ddl_commands")
        connection.execute(
            f"""
            CREATE FUNCTION public.kill_at() RETURNS event_trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval('public.ddl_commands') > {commands} THEN
                    PERFORM pg_terminate_backend(pg_backend_pid());
                END IF;
            END $$
            """.encode()
        )
        connection.execute("CREATE EVENT TRIGGER kill_at ON ddl_command_end EXECUTE FUNCTION public.kill_at()")


def disarm(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET event_triggers = off")
        connection.execute("DROP EVENT TRIGGER kill_at")


def test_many_at_once_apply_each_file_once(empty_dsn: str) -> None:
    applied: list[list[str]] = []
    threads = [threading.Thread(target=lambda: applied.append(migrate(empty_dsn))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied, key=len) == [[], [], [], NAMES]


def test_a_changed_file_is_refused(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE public.facteur_migrations SET sha256 = 'other' WHERE name = %s", (NAMES[0],))
    with pytest.raises(MigrationError, match="changed after it was applied"):
        migrate(dsn)


def test_a_database_from_the_future_is_refused(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO public.facteur_migrations (name, sha256) VALUES ('9999_new.sql', '')")
    with pytest.raises(MigrationError, match="upgrade facteur"):
        migrate(dsn)


def test_a_second_migration_waits_and_then_gives_up_in_words(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (0x66616374657572,))
        with pytest.raises(MigrationError, match="another process"):
            migrate(dsn, patience=0.3)


@pytest.mark.parametrize("broken", ["host", "password", "shape"])
def test_a_wrong_dsn_is_one_sentence_without_the_password(dsn: str, broken: str) -> None:
    parts = urlsplit(dsn)
    secret = parts.password or ""
    wrong = {
        "host": urlunsplit(parts._replace(netloc=f"facteur:{secret}@127.0.0.1:1")),
        "password": dsn.replace(secret, "wrong-password"),
        "shape": "this is not a dsn " + secret,
    }[broken]
    with pytest.raises((MigrationError, Unavailable), match="FACTEUR_POSTGRES_DSN") as caught:
        migrate(wrong)
    assert secret not in str(caught.value)
    assert "wrong-password" not in str(caught.value)


def test_the_two_spellings_of_a_source_become_one(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute(migrations._LEDGER.encode())
        for name, sql in migrations._files():
            if name < "0005":
                migrations._apply(connection, name, sql)
        kept, other, alone = (_idea(connection, *source) for source in SOURCES)
        ours = _task(connection, kept, "implementation")
        theirs, review = _task(connection, other, "implementation"), _task(connection, other, "review")
        for task, delivery in ((ours, "a"), (theirs, "b"), (review, "c")):
            connection.execute(
                "INSERT INTO codex_kb.task_runs (task_id, status, delivery_id) VALUES (%s, 'queued', %s)",
                (task, delivery),
            )
        connection.execute(
            "INSERT INTO codex_kb.task_dependencies (task_id, depends_on_task_id) VALUES (%s, %s)", (review, theirs)
        )
        connection.execute(
            "INSERT INTO codex_kb.policy_checks (idea_id, policy_key, status) VALUES (%s, 'k', 'pass')", (other,)
        )
        migrate(empty_dsn)
        found = connection.execute("SELECT id, source_type, source_ref FROM codex_kb.ideas ORDER BY source_ref")
        assert found.fetchall() == [(kept, "github_issue", "o/r#1"), (alone, "github_issue", "o/r#2")]
        runs = connection.execute("SELECT delivery_id, task_id FROM codex_kb.task_runs ORDER BY delivery_id").fetchall()
        assert runs == [("a", ours), ("b", ours), ("c", review)]
        assert connection.execute("SELECT idea_id FROM codex_kb.tasks").fetchall() == [(kept,), (kept,)]
        needed = connection.execute("SELECT task_id, depends_on_task_id FROM codex_kb.task_dependencies").fetchall()
        assert needed == [(review, ours)]
        assert connection.execute("SELECT idea_id FROM codex_kb.policy_checks").fetchall() == [(kept,)]


def test_the_other_spelling_finds_the_same_idea_afterwards(dsn: str) -> None:
    upsert = (
        "INSERT INTO codex_kb.ideas (source_type, source_ref, status, payload) VALUES (%s, 'o/r#9', 'open', '{}') "
        "ON CONFLICT (source_type, source_ref) DO UPDATE SET status = EXCLUDED.status RETURNING id, source_type"
    )
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = [connection.execute(upsert, (name,)).fetchone() for name in ("github_issue", "github.issue")]
    assert found[0] == found[1]


SOURCES = (("github_issue", "o/r#1"), ("github.issue", "o/r#1"), ("github.issue", "o/r#2"))


def _idea(connection: psycopg.Connection, source_type: str, source_ref: str) -> UUID:
    return _inserted(
        connection,
        "INSERT INTO codex_kb.ideas (source_type, source_ref, status, payload) "
        "VALUES (%s, %s, 'open', '{}') RETURNING id",
        source_type,
        source_ref,
    )


def _task(connection: psycopg.Connection, idea: UUID, stage: str) -> UUID:
    statement = "INSERT INTO codex_kb.tasks (idea_id, stage, state) VALUES (%s, %s, 'queued') RETURNING id"
    return _inserted(connection, statement, idea, stage)


def _inserted(connection: psycopg.Connection, statement: str, *values: object) -> UUID:
    row = connection.execute(statement.encode(), values).fetchone()
    assert row
    found: UUID = row[0]
    return found
