"""How long tests wait for what must come: so long that a busy machine is no fault, and a hang ends."""

from functools import partial

from shared.postgres.database import Database
from shared.redis.connection import Connection
from shared.redis.vectors import RedisVectors

PATIENCE = 60.0


def patient(dsn: str) -> Database:
    """A database that waits, for a connection as for a lock, as long as a test does: not as functions do, which have
    callers that try again."""
    return Database(dsn, timeout=PATIENCE, lock_timeout=PATIENCE)


# A Redis that answers late is there: functions do without it after half a second.
PatientConnection = partial(Connection, timeout=PATIENCE)
PatientVectors = partial(RedisVectors, timeout=PATIENCE)
