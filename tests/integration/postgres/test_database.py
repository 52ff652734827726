"""The door itself: its errors mean something, and none of them tells a secret."""

import logging
import threading

import pytest

from shared.domain.errors import Rejected, Unavailable
from shared.postgres.database import Database
from tests.patience import PATIENCE


@pytest.mark.parametrize("dsn", ["postgresql//user:a-password@host/db", "postgresql://user:a%zzpassword@host/db"])
def test_a_dsn_that_cannot_be_parsed_is_refused_before_a_pool_could_log_it(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable, match="FACTEUR_POSTGRES_DSN") as refused:
        Database(dsn)
    assert "password@" not in str(refused.value).replace("user:password@host", "") + caplog.text


def test_a_server_that_is_away_is_unavailable_within_the_timeout() -> None:
    database = Database("postgresql://x@127.0.0.1:1/x", timeout=0.3)
    with pytest.raises(Unavailable, match="the database is away"):
        database.one("SELECT 1", {})
    database.close()


def test_a_lock_is_waited_for_two_seconds_unless_told_otherwise(dsn: str) -> None:
    for database, shown in (
        (Database(dsn, timeout=PATIENCE), "2s"),
        (Database(dsn, timeout=PATIENCE, lock_timeout=0.1), "100ms"),
    ):
        assert database.one("SHOW lock_timeout", {}) == {"lock_timeout": shown}
        database.close()


def test_a_value_that_cannot_be_stored_is_rejected_for_ever(database: Database) -> None:
    for value in ("nul \x00 here", "9" * 50):
        with pytest.raises(Rejected):
            database.one("SELECT %(value)s::text::integer", {"value": value})


def test_a_transaction_is_whole_or_not_at_all(database: Database) -> None:
    database.do("CREATE TABLE t (n integer)", {})

    class Halfway(Exception):
        """In the middle of the work."""

    with pytest.raises(Halfway):

        def work(cursor: object) -> None:
            cursor.execute(b"INSERT INTO t VALUES (1)")  # type: ignore[attr-defined]
            raise Halfway

        database.transaction(work)
    assert database.all("SELECT FROM t", {}) == []


def test_more_callers_than_connections_wait_for_their_turn(database: Database) -> None:
    answers: list[object] = []
    threads = [
        threading.Thread(target=lambda: answers.append(database.one("SELECT pg_sleep(0.02), 1 AS n", {})))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
