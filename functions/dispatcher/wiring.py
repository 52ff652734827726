"""Puts dispatcher together. Nothing connects before the first event."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from functions.dispatcher.dispatch import Dispatch
from functions.dispatcher.launch import Launch, Snapshots
from functions.dispatcher.look_after import LookAfter, Patience
from functions.dispatcher.recipe import Recipe
from functions.dispatcher.settings import Settings
from shared import telemetry
from shared.broker.publisher import HttpPublisher
from shared.domain.policy import Policy
from shared.domain.task import Mode, Run
from shared.events.announcer import BackgroundAnnouncer
from shared.postgres.database import Database
from shared.postgres.launches import PgLaunches
from shared.postgres.memory_search import PgMemorySearch
from shared.postgres.memory_trials import PgMemoryTrials
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


def _count(run: Run, outcome: str) -> None:
    telemetry.count("facteur_launches_total", mode=run.mode, outcome=outcome)


settings = load(Settings)
runner, cluster = settings.runner, settings.cluster
if runner.jobs_dir:
    doors: Mapping[Mode, Any] = {Mode.DIRECT: ProcessJobs(runner.jobs_dir)}
    targets = None
else:
    # A laptop has no cluster, and need not wait for its client.
    from shared.kubernetes.api_server import Access
    from shared.kubernetes.doors import connect
    from shared.kubernetes.jobs import PodSettings

    connected = connect(
        Access(cluster.api_url, cluster.credentials, cluster.timeout_seconds, cluster.qps, cluster.burst),
        PodSettings(runner.image, runner.service_account, runner.resources, runner.kept_seconds, secret=runner.secret),
        runner.namespace,
        runner.argo_namespace,
    )
    doors, targets = connected.jobs, connected.targets
database = Database(settings.postgres_dsn, size=8)
publisher = HttpPublisher(settings.sink)
outbox = PgOutbox(database)
say = BackgroundAnnouncer(publisher, outbox)
queue = PgQueue(
    database,
    settings.queue.caps,
    "" if runner.jobs_dir else runner.namespace,
    settings.lease_seconds,
)
launches = PgLaunches(database, settings.lease_seconds)
runs = PgRuns(database)
recipe = Recipe(
    settings.token_secret,
    settings.callback_url,
    settings.memory_url,
    runner.command,
    runner.image,
    runner.service_account if runner.image else "",
    memory_tokens=settings.memory_tokens,
    holdout_share=settings.holdout_share,
    launching=not settings.disable_dispatcher,
)
snapshots = Snapshots(targets, launches, hashlib.sha256(f"snapshots {settings.token_secret}".encode()).digest())
launch = Launch(
    launches,
    doors,
    PgMemorySearch(database),
    PgMemoryTrials(database),
    snapshots,
    say,
    lambda: datetime.now(UTC),
    lambda: secrets.token_hex(16),
    _read_delivery,
    recipe,
)
if settings.policy_file:
    # Only where there is a policy: others need not pay for PyYAML.
    from shared import policy_file

    policy: Callable[[], Policy] = WatchedFile(settings.policy_file, policy_file.read, "the policy file")
else:
    policy = lambda: Policy((), "none")  # noqa: E731  # nothing is allowed
dispatch = Dispatch(queue, launches, runs, doors, policy, launch, say, recipe, _count)
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
    """Raises Unavailable or Rejected while runs cannot be claimed, judged, or made into jobs."""
    policy()
    database.ready()
    doors[Mode.DIRECT].ready()
