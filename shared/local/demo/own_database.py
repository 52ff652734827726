"""A database for the demo alone, where the user's own server is to be used."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from shared.postgres.scratch import scratch_database

_NAME = "FACTEUR_POSTGRES_DSN"


@contextmanager
def database_of_its_own() -> Iterator[None]:
    """Points FACTEUR_POSTGRES_DSN, if it is set, at a new database that is dropped at the end.

    The demo starts from nothing and its inputs are always the same: in a database that knows them
    they would be replays.
    """
    own = os.environ.get(_NAME)
    if not own:
        yield
        return
    with scratch_database(own) as dsn:
        os.environ[_NAME] = dsn
        try:
            yield
        finally:
            os.environ[_NAME] = own
