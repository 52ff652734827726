"""Puts callback together. Nothing connects before the first request."""

import time

from functions.callback.keep import Keep
from functions.callback.record import Record
from functions.callback.settings import Settings
from shared.artifacts.files import FileArtifacts
from shared.broker.publisher import HttpPublisher
from shared.events.announcer import Announcer
from shared.postgres.database import Database
from shared.postgres.outbox import PgOutbox
from shared.postgres.reports import PgReports
from shared.settings import load

settings = load(Settings)
database = Database(settings.postgres_dsn)
reports = PgReports(database)
store = FileArtifacts(settings.artifacts_dir, settings.callback_url, settings.token_secret)
record = Record(reports, Announcer(HttpPublisher(settings.sink), PgOutbox(database)))
keep = Keep(reports, store, time.time)


def ready() -> None:
    """Raises Unavailable while reports cannot be stored."""
    database.ready()
