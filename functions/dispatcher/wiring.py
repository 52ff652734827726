"""Puts dispatcher together. Nothing connects before the first event."""

import secrets
from datetime import UTC, datetime

from functions.dispatcher.dispatch import Dispatch, Recipe
from functions.dispatcher.look_after import LookAfter
from functions.dispatcher.settings import Settings
from shared.broker.publisher import HttpPublisher
from shared.events.announcer import Announcer
from shared.postgres.database import Database
from shared.postgres.memories import PgMemories
from shared.postgres.outbox import PgOutbox
from shared.postgres.runs import PgRuns
from shared.processes.jobs import ProcessJobs
from shared.settings import load

settings = load(Settings)
database = Database(settings.postgres_dsn)
publisher = HttpPublisher(settings.sink)
outbox = PgOutbox(database)
runs = PgRuns(database)
jobs = ProcessJobs(settings.jobs_dir)
dispatch = Dispatch(
    runs,
    PgMemories(database),
    jobs,
    Announcer(publisher, outbox),
    lambda: datetime.now(UTC),
    lambda: secrets.token_hex(16),
    Recipe(
        settings.runner_command,
        settings.token_secret,
        settings.callback_url,
        settings.memory_url,
        launching=not settings.disable_dispatcher,
    ),
)
look_after = LookAfter(runs, jobs, dispatch, outbox, publisher.publish)


def ready() -> None:
    """Raises Unavailable while runs cannot be claimed or jobs cannot be created."""
    database.ready()
    jobs.names()
