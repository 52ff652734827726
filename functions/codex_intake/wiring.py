"""Puts codex-intake together. Nothing connects before the first request."""

from functions.codex_intake.accept import Accept
from functions.codex_intake.settings import Settings
from shared.broker.publisher import HttpPublisher
from shared.events.announcer import Announcer
from shared.postgres.database import Database
from shared.postgres.dead_letters import PgDeadLetters
from shared.postgres.outbox import PgOutbox
from shared.postgres.tasks import PgTasks
from shared.settings import load

settings = load(Settings)
database = Database(settings.postgres_dsn)
tasks = PgTasks(database)
dead_letters = PgDeadLetters(database)
accept = Accept(tasks, Announcer(HttpPublisher(settings.sink), PgOutbox(database)))


def ready() -> None:
    """Raises Unavailable while tasks cannot be stored."""
    database.ready()
