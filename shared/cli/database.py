"""The database of one command."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from shared.cli.terminal import fail, refuse
from shared.domain.errors import FacteurError
from shared.postgres.database import Database

UNSET = "FACTEUR_POSTGRES_DSN is not set: give a connection string there or with --dsn"


@contextmanager
def connected(dsn: str) -> Iterator[Database]:
    """A database for one command; whatever goes wrong then becomes a sentence and an exit code."""
    if not dsn:
        refuse(UNSET)
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # what it would warn of is said below
    try:
        # Somebody who typed a command rather waits than types it again.
        database = Database(dsn, size=1, timeout=5)
        try:
            yield database
        finally:
            database.close()
    except FacteurError as error:
        fail(str(error))
