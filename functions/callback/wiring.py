"""Puts callback together. Nothing connects before the first request."""

import time

from functions.callback.keep import Keep
from functions.callback.record import Record
from functions.callback.settings import Settings
from functions.callback.sweep import Sweep
from shared.artifacts.files import FileArtifacts
from shared.artifacts.links import FileLinks, links
from shared.artifacts.store import store
from shared.broker.publisher import HttpPublisher
from shared.domain.errors import NotFound
from shared.events.announcer import BackgroundAnnouncer
from shared.postgres.database import Database
from shared.postgres.outbox import PgOutbox
from shared.postgres.reports import PgReports
from shared.postgres.uploads import PgUploads
from shared.settings import load

settings = load(Settings)
database = Database(settings.postgres_dsn)
reports = PgReports(database)
record = Record(reports, BackgroundAnnouncer(HttpPublisher(settings.sink), PgOutbox(database)))
uploads = PgUploads(database)
artifacts = store(settings.artifacts, settings.artifacts.folder)
artifact_links = links(settings.artifacts, settings.callback_url, settings.token_keys)
keep = Keep(uploads, artifacts, artifact_links, time.time)
sweep = Sweep(uploads, artifacts)


def files() -> tuple[FileArtifacts, FileLinks]:
    """What serves files from here; NotFound where they are kept in a bucket."""
    if isinstance(artifacts, FileArtifacts) and isinstance(artifact_links, FileLinks):
        return artifacts, artifact_links
    raise NotFound("artifacts are not kept here")


def ready() -> None:
    """Raises Unavailable while reports cannot be stored."""
    database.ready()
