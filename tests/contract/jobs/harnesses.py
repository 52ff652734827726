"""Every door to jobs with the machinery behind it, which works only while it is asked to."""

import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from shared.domain.job import Job, JobState
from shared.domain.task import Mode
from shared.kubernetes.api_server import Access
from shared.kubernetes.doors import connect
from shared.kubernetes.jobs import PodSettings
from shared.local.node import Node, safe_env
from shared.processes.jobs import ProcessJobs
from tests.cluster.api import Api
from tests.cluster.fake import FakeApiServer
from tests.cluster.kubelet import Kubelet
from tests.cluster.stage import ClusterStage, cluster_stage
from tests.cluster.workflows import WorkflowController
from tests.contract.jobs.fake_jobs import FakeJobs

TEMPLATE = "python-from-the-prompt"


class Jobs(Protocol):
    """What the dispatcher asks of a door."""

    def create(self, job: Job) -> str: ...
    def release(self, name: str, namespace: str = "", made: str = "") -> None: ...
    def look(self, name: str, namespace: str = "") -> JobState | None: ...
    def all(self, namespaces: Collection[str] = ()) -> Sequence[JobState]: ...
    def stop(self, name: str, namespace: str = "") -> None: ...
    def discard(self, name: str, namespace: str = "") -> None: ...
    def retire(self, name: str, namespace: str = "") -> None: ...


class Harness:
    """A door and its machinery. `a_job` runs Python code."""

    def __init__(self, jobs: Jobs, work: Callable[[], None]) -> None:
        self.jobs = jobs
        self.work = work

    def a_job(self, code: str = "", name: str = "codex-1", attempt: int = 1, seconds: int = 300) -> Job:
        command = (sys.executable, "-c", code)
        return Job(name, "task-1", attempt, seconds, command, {"COLOUR": "blue"}, {"PROMPT_FILE": "do it"})


class ArgoHarness(Harness):
    """Workflows whose template runs what its parameter says."""

    def a_job(self, code: str = "", name: str = "codex-1", attempt: int = 1, seconds: int = 300) -> Job:
        given = {"prompt": code or "pass"}
        env, files = {"COLOUR": "blue"}, {"PROMPT_FILE": "do it"}
        return Job(name, "task-1", attempt, seconds, (), env, files, template=TEMPLATE, parameters=given)


@contextmanager
def memory(_folder: Path) -> Iterator[Harness]:
    jobs = FakeJobs()
    yield Harness(jobs, jobs.work)
    for state in jobs.all():
        jobs.stop(state.name)


@contextmanager
def processes(folder: Path) -> Iterator[Harness]:
    (folder / "jobs").mkdir()
    jobs, node = ProcessJobs(folder / "jobs"), Node(folder / "jobs", lambda _: None, safe_env())
    yield Harness(jobs, node.tick)
    for name in jobs.names():
        jobs.stop(name)
    while any(not state.phase.final for state in jobs.all()):
        node.tick()


@contextmanager
def kubernetes(folder: Path, api: Api) -> Iterator[Harness]:
    with cluster_stage(api, folder / "credentials") as stage:
        kubelet = Kubelet(api, stage.jobs, folder / "pods")
        try:
            yield Harness(_doors(stage)[Mode.DIRECT], kubelet.tick)
        finally:
            kubelet.close()


@contextmanager
def argo(folder: Path, api: Api) -> Iterator[Harness]:
    with cluster_stage(api, folder / "credentials") as stage:
        api.create(stage.path("workflowtemplates", namespace=stage.workflows), _template())
        controller = WorkflowController(api, stage.workflows, folder / "pods")
        try:
            yield ArgoHarness(_doors(stage)[Mode.ARGO], controller.tick)
        finally:
            controller.close()


def _doors(stage: ClusterStage) -> dict[Mode, Jobs]:
    access = Access(stage.api.url, stage.credentials, qps=1000, burst=1000)
    pods = PodSettings("registry.invalid/codex:1", "codex-runner")
    return dict(connect(access, pods, stage.jobs, stage.workflows).jobs)


def _template() -> dict[str, object]:
    container = {
        "image": "registry.invalid/codex:1",
        "command": [sys.executable, "-c", "{{workflow.parameters.prompt}}"],
        "env": [
            {"name": "COLOUR", "value": "{{workflow.parameters.colour}}"},
            {"name": "PROMPT_FILE", "value": "/var/run/codex/PROMPT_FILE"},
        ],
        "volumeMounts": [{"name": "task", "mountPath": "/var/run/codex"}],
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": TEMPLATE},
        "spec": {
            "entrypoint": "main",
            "volumes": [{"name": "task", "secret": {"secretName": "{{workflow.parameters.codex_secret}}"}}],
            "templates": [{"name": "main", "container": container}],
        },
    }


@contextmanager
def _on_the_fake(folder: Path, harness: Callable[[Path, Api], object]) -> Iterator[Harness]:
    with FakeApiServer() as server, ExitStack() as stack:
        yield stack.enter_context(harness(folder, Api(server.url, server.credentials)))  # type: ignore[arg-type]


@contextmanager
def _on_the_real(folder: Path, harness: Callable[[Path, Api], object]) -> Iterator[Harness]:
    api = Api(os.environ["FACTEUR_TEST_API_URL"], Path(os.environ["FACTEUR_TEST_CREDENTIALS"]))
    with ExitStack() as stack:
        yield stack.enter_context(harness(folder, api))  # type: ignore[arg-type]


HARNESSES: dict[str, Callable[[Path], object]] = {
    "memory": memory,
    "processes": processes,
    "kubernetes on the fake": lambda folder: _on_the_fake(folder, kubernetes),
    "argo on the fake": lambda folder: _on_the_fake(folder, argo),
}
if os.environ.get("FACTEUR_TEST_API_URL"):
    HARNESSES |= {
        "kubernetes": lambda folder: _on_the_real(folder, kubernetes),
        "argo": lambda folder: _on_the_real(folder, argo),
    }
