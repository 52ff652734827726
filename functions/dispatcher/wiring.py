"""Puts dispatcher together. Nothing connects before the first event."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from functions.dispatcher.dispatch import Dispatch
from functions.dispatcher.launch import Launch, Snapshots
from functions.dispatcher.look_after import LookAfter, Patience
from functions.dispatcher.recipe import Recipe
from functions.dispatcher.settings import Settings
from shared import policy_file
from shared.broker.publisher import HttpPublisher
from shared.domain.task import Mode
from shared.events.announcer import Announcer
from shared.postgres.database import Database
from shared.postgres.launches import PgLaunches
from shared.postgres.memories import PgMemories
from shared.postgres.outbox import PgOutbox
from shared.postgres.queue import PgQueue
from shared.postgres.runs import PgRuns
from shared.processes.jobs import ProcessJobs
from shared.settings import load
from shared.watched_file import WatchedFile


def _read_delivery(body: bytes) -> Mapping[str, Any]:
    # Only Workflows of the earlier system's deliveries need the protobuf runtime.
    from shared.events.protobuf.deliveries import document, parse

    return document(parse(body))


settings = load(Settings)
if settings.runner.jobs_dir:
    doors: Mapping[Mode, Any] = {Mode.DIRECT: ProcessJobs(settings.runner.jobs_dir)}
    targets = None
else:
    # A laptop has no cluster, and need not wait for its client.
    from functions.dispatcher.cluster import connect

    doors, targets = connect(settings)
database = Database(settings.postgres_dsn, size=16)
publisher = HttpPublisher(settings.sink)
outbox = PgOutbox(database)
say = Announcer(publisher, outbox)
queue = PgQueue(
    database,
    settings.queue.caps,
    "" if settings.runner.jobs_dir else settings.runner.namespace,
    settings.lease_seconds,
)
launches = PgLaunches(database, settings.lease_seconds)
runs = PgRuns(database)
recipe = Recipe(
    settings.token_secret,
    settings.callback_url,
    settings.memory_url,
    settings.runner.command,
    settings.runner.image,
    settings.runner.service_account if settings.runner.image else "",
    memory_tokens=settings.memory_tokens,
    launching=not settings.disable_dispatcher,
)
snapshots = Snapshots(targets, launches, hashlib.sha256(f"snapshots {settings.token_secret}".encode()).digest())
launch = Launch(
    launches,
    doors,
    PgMemories(database),
    snapshots,
    say,
    lambda: datetime.now(UTC),
    lambda: secrets.token_hex(16),
    _read_delivery,
    recipe,
)
policy = WatchedFile(settings.policy_file, policy_file.read, "the policy file")
dispatch = Dispatch(queue, launches, runs, doors, policy, launch, say, recipe)
look_after = LookAfter(
    runs,
    launches,
    queue,
    doors,
    dispatch,
    snapshots,
    outbox,
    publisher.publish,
    Patience(settings.launch_seconds, settings.start_seconds),
)


def ready() -> None:
    """Raises Unavailable or Rejected while runs cannot be claimed or jobs cannot be created."""
    database.ready()
    doors[Mode.DIRECT].ready()
