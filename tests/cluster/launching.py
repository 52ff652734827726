"""Dispatchers as they are deployed, with a broker that delivers again, and what they have made in the cluster."""

import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import urllib3

from shared.domain.ids import resource_name
from shared.events.catalogue import JOB_CHANGED, TaskCancelRequested, TaskFinished, TaskPrepared, announce
from shared.events.event import Event
from shared.postgres.runs import PgRuns
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.stage import ClusterStage
from tests.component.conftest import Stage, tick
from tests.component.functions import Function, Sink, await_health, end, settings, sink, start

LEASE_SECONDS = 1
POLICY = """
rules:
  - name: tests
    callers: ["*"]
    modes: [direct, argo]
    namespaces: ["*"]
    kinds: ["*"]
    images: ["*"]
    serviceAccounts: ["*"]
"""


@dataclass
class Launching:
    """`env` is the environment of every dispatcher that is started from now on."""

    cluster: ClusterStage
    proxy: FaultProxy
    stage: Stage
    broker: Sink
    folder: Path
    env: dict[str, str]
    functions: list[Function] = field(default_factory=list)

    def start(self, **env: str) -> Function:
        """Another dispatcher."""
        function = start("dispatcher", self.env | env, self.folder / f"log-{len(self.functions)}")
        self.functions.append(function)
        await_health(function)
        return function

    def deliver(self, event: Event, to: Function | None = None, tries: int = 20) -> None:
        """Until it is taken, as a broker does; a dispatcher that is away or busy is asked again."""
        for attempt in range(tries):
            with suppress(urllib3.exceptions.HTTPError):
                if (to or self.functions[-1]).deliver(event).status == 204:
                    return
            time.sleep(min(0.05 * 2**attempt, 1))
        raise AssertionError("the event was never taken")

    def prepare(self, tasks: Sequence[UUID], at_once: int = 32, tries: int = 20) -> None:
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda task: self.deliver(prepared(task), tries=tries), tasks))

    def tick_until(self, true: Callable[[], object], seconds: float = 60) -> None:
        """Ticks come faster than in a cluster."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, "it did not happen in time"
            self.deliver(tick())
            time.sleep(0.2)

    def statuses(self, tasks: Sequence[UUID]) -> set[str]:
        return {self.stage.status(task)[0] for task in tasks}

    def jobs(self) -> list[dict[str, Any]]:
        return self.cluster.api.list(self.cluster.path("jobs"))

    def secrets(self) -> list[dict[str, Any]]:
        return self.cluster.api.list(self.cluster.path("secrets"))

    def job(self, task: UUID, attempt: int = 1) -> dict[str, Any] | None:
        return self.cluster.api.get(self.cluster.path("jobs", resource_name(task, attempt)))

    def pods(self, task: UUID) -> list[dict[str, Any]]:
        return self.cluster.api.list(self.cluster.path("pods"), f"codex.proompteng.ai/task={task}")

    def changed(self, task: UUID, attempt: int = 1) -> None:
        """What the ApiServerSource says."""
        data = json.dumps({"kind": "Job", "name": resource_name(task, attempt), "namespace": self.cluster.jobs})
        kind = "application/json"
        self.deliver(Event(str(uuid4()), "https://kubernetes", JOB_CHANGED, datacontenttype=kind, data=data.encode()))

    def cancel(self, task: UUID) -> Event:
        """What intake stores and says when a caller cancels."""
        event = announce(TaskCancelRequested(task), "codex-intake", None)
        ended = announce(TaskFinished(task, "canceled"), "codex-intake", None)
        assert PgRuns(self.stage.database).cancel(task, "default", "alice", event, ended)
        return event

    def each_is_one_job(self, tasks: Sequence[UUID]) -> None:
        """One Job a task, let go, with one Secret that it owns; and nothing else."""
        jobs, secrets = self.jobs(), self.secrets()
        assert sorted(job["metadata"]["name"] for job in jobs) == sorted(resource_name(task, 1) for task in tasks)
        assert not [job["metadata"]["name"] for job in jobs if job["spec"].get("suspend")]
        uids = {job["metadata"]["name"]: job["metadata"]["uid"] for job in jobs}
        assert {each["metadata"]["name"] for each in secrets} == uids.keys()
        for secret in secrets:
            (owner,) = secret["metadata"].get("ownerReferences", [{}])
            assert owner.get("uid") == uids[secret["metadata"]["name"]]

    def launches(self, task: UUID) -> int:
        """How often the launch of a task was noted."""
        rows = self.stage.rows(
            "SELECT id FROM codex_kb.run_events WHERE task_run_id = %(task)s AND event_type = 'launched'", task
        )
        return len(rows)


def prepared(task: UUID) -> Event:
    return announce(TaskPrepared(task), "embedder", None)


@contextmanager
def launching(cluster: ClusterStage, proxy: FaultProxy, stage: Stage, folder: Path) -> Iterator[Launching]:
    with sink() as broker:
        (folder / "policy.yaml").write_text(POLICY)
        env = settings(stage.dsn, broker.url, folder) | cluster.settings()
        env |= {
            "FACTEUR_KUBERNETES_API_URL": proxy.url,
            "FACTEUR_POLICY_FILE": str(folder / "policy.yaml"),
            "FACTEUR_LAUNCH_LEASE_SECONDS": str(LEASE_SECONDS),
            "FACTEUR_JOBS_DIR": "",
            "FACTEUR_RUNNER_COMMAND": '["true"]',
            "FACTEUR_MAX_RUNS": "0",
        }
        ready = Launching(cluster, proxy, stage, broker, folder, env)
        try:
            yield ready
        finally:
            for function in ready.functions:
                with suppress(ProcessLookupError):
                    function.process.send_signal(signal.SIGCONT)
                end(function)
