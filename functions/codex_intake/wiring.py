"""Puts codex-intake together. Nothing connects before the first request."""

from functions.codex_intake.accept import Accept
from functions.codex_intake.judge import Judge
from functions.codex_intake.settings import Settings
from shared.artifacts.links import links
from shared.broker.publisher import HttpPublisher
from shared.events.announcer import BackgroundAnnouncer
from shared.events.cancel import Cancel
from shared.postgres.database import Database
from shared.postgres.dead_letters import PgDeadLetters
from shared.postgres.memory_learning import PgMemoryLearning
from shared.postgres.outbox import PgOutbox
from shared.postgres.runs import PgRuns
from shared.postgres.task_views import PgTaskViews
from shared.postgres.tasks import PgTasks
from shared.settings import load

settings = load(Settings)
database = Database(settings.postgres_dsn)
tasks = PgTasks(database)
dead_letters = PgDeadLetters(database)
views = PgTaskViews(database)
artifacts = links(settings.artifacts, settings.callback_url, settings.token_keys)
say = BackgroundAnnouncer(HttpPublisher(settings.sink), PgOutbox(database))
accept = Accept(tasks, say)
cancel = Cancel(PgRuns(database), say, "codex-intake")
judge = Judge(PgMemoryLearning(database))


def ready() -> None:
    """Raises Unavailable while tasks cannot be stored."""
    database.ready()
