"""The dispatcher's two use cases."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from functions.dispatcher.dispatch import Dispatch, Recipe
from functions.dispatcher.look_after import LookAfter
from functions.dispatcher.prompt import render
from shared.domain.errors import Rejected, Unavailable
from shared.domain.ids import resource_name
from shared.domain.job import Job, JobPhase, JobState
from shared.domain.memory import Memory, Recalled, fence
from shared.domain.run import RunState
from shared.domain.task import OpenRun, Run
from shared.events.catalogue import TaskPrepared, announce
from shared.events.event import Event
from tests.contract.stores.conftest import Stores
from tests.unit.functions.conftest import Said

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RECIPE = Recipe(("agent", "run"), "k" * 32, "http://callback", "http://memory", memory_tokens=500)


@dataclass
class Cluster:
    """Jobs by name; `away` is for a cluster that does not answer."""

    jobs: dict[str, Job] = field(default_factory=dict)
    phases: dict[str, JobState] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    away: bool = False

    def create(self, job: Job) -> None:
        if self.away:
            raise Unavailable("the cluster is away")
        known = self.jobs.setdefault(job.name, job)
        if (known.task_id, known.attempt) != (job.task_id, job.attempt):
            raise Rejected("a job of that name belongs to another task")

    def look(self, name: str) -> JobState | None:
        job = self.jobs.get(name)
        if job is None:
            return None
        return self.phases.get(name, JobState(name, job.task_id, job.attempt, JobPhase.RUNNING))

    def stop(self, name: str) -> None:
        self.stopped.append(name)

    def end(self, task: UUID, phase: JobPhase, reason: str = "") -> None:
        name = resource_name(task, 1)
        self.phases[name] = JobState(name, str(task), 1, phase, reason)


class Impatient:
    """Runs that have waited long enough already."""

    def __init__(self, stores: Stores, expired: bool = False) -> None:
        self._runs = stores.runs
        self._expired = expired

    def open(self) -> Sequence[OpenRun]:
        return [replace(one, expired=self._expired) for one in self._runs.open(0, 0)]

    def open_by_resource(self, resource: str) -> OpenRun | None:
        return self._runs.open_by_resource(resource)

    def open_by_id(self, run: UUID) -> OpenRun | None:
        return next((one for one in self.open() if one.run.id == run), None)


class Noting:
    """Runs that remember what they were told to have been shown."""

    def __init__(self, stores: Stores) -> None:
        self._runs = stores.runs
        self.shown: list[Recalled] = []
        self.claim, self.finish, self.canceled_by = stores.runs.claim, stores.runs.finish, stores.runs.canceled_by

    def launched(
        self,
        run: Run,
        resource: str,
        token_hash: bytes,
        shown: Sequence[Recalled],
        received: Event | None,
        announcement: Event,
    ) -> bool:
        self.shown += shown
        return self._runs.launched(run, resource, token_hash, shown, received, announcement)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def dispatch(stores: Stores, cluster: Cluster, said: Said) -> Dispatch:
    return Dispatch(stores.runs, stores.memories, cluster, said, lambda: NOW, lambda: "nonce-of-16-chars", RECIPE)


def look_after(stores: Stores, cluster: Cluster, dispatch: Dispatch, expired: bool = False) -> LookAfter:
    return LookAfter(Impatient(stores, expired), cluster, dispatch, stores.outbox, lambda _: None)


def test_a_launch_is_a_job_with_a_deadline_and_an_announcement(
    stores: Stores, cluster: Cluster, dispatch: Dispatch, said: Said
) -> None:
    task = stores.accept(deadline_seconds=60).run_id
    dispatch(task, announce(TaskPrepared(task), "embedder", None))
    job = cluster.jobs[resource_name(task, 1)]
    assert job.command == ("agent", "run")
    assert job.env["CODEX_DEADLINE"] == "2026-01-02T03:05:05Z"
    assert job.env["TRACEPARENT"] == "00-trace"
    assert set(job.files) == {"CODEX_PROMPT_FILE", "CODEX_CALLBACK_TOKEN_FILE"}
    assert job.files["CODEX_CALLBACK_TOKEN_FILE"] not in repr(job)
    assert said.types == ["run.launched.v1"]


def test_any_number_of_deliveries_is_one_job_and_one_announcement(
    stores: Stores, cluster: Cluster, dispatch: Dispatch, said: Said
) -> None:
    task = stores.accept().run_id
    for _ in range(10):
        dispatch(task, announce(TaskPrepared(task), "embedder", None))
        dispatch(task, None)
    assert list(cluster.jobs) == [resource_name(task, 1)]
    assert said.types == ["run.launched.v1"]


def test_a_cluster_that_is_away_leaves_the_run_to_be_launched_again(
    stores: Stores, cluster: Cluster, dispatch: Dispatch, said: Said
) -> None:
    task = stores.accept().run_id
    cluster.away = True
    with pytest.raises(Unavailable):
        dispatch(task, None)
    assert stores.status(task)[0] == "launching"
    cluster.away = False
    dispatch(task, None)
    assert list(cluster.jobs) == [resource_name(task, 1)]
    assert said.types == ["run.launched.v1"]


def test_what_can_never_be_launched_ends_with_its_reason(
    stores: Stores, cluster: Cluster, dispatch: Dispatch, said: Said
) -> None:
    argo, taken = stores.accept("one", mode="argo").run_id, stores.accept("two").run_id
    cluster.create(Job(resource_name(taken, 1), "another task", 1, 60))
    dispatch(argo, None)
    dispatch(taken, None)
    assert stores.status(argo) == ("failed", "mode argo is not enabled here: use direct", "")
    assert stores.status(taken) == ("failed", "a job of that name belongs to another task", "")
    assert said.types == ["task.finished.v1", "task.finished.v1"]


@pytest.mark.parametrize(
    ("phase", "reason", "end"),
    [
        (JobPhase.FAILED, "exit code 7", ("failed", "exit code 7", "")),
        (JobPhase.LOST, "", ("failed", "the container lost", "")),
        (JobPhase.STOPPED, "", ("failed", "the container stopped", "")),
        (JobPhase.SUCCEEDED, "", ("failed", "the container ended without reporting a result", "")),
        (JobPhase.EXPIRED, "", ("expired", "the deadline has passed", "")),
    ],
)
def test_a_job_that_is_over_ends_its_run_once(
    stores: Stores, cluster: Cluster, dispatch: Dispatch, said: Said, phase: JobPhase, reason: str, end: object
) -> None:
    task = stores.accept().run_id
    dispatch(task, None)
    cluster.end(task, phase, reason)
    after = look_after(stores, cluster, dispatch)
    after.job_changed(resource_name(task, 1))
    after.job_changed(resource_name(task, 1))
    after.tick()
    assert stores.status(task) == end
    assert said.types == ["run.launched.v1", "task.finished.v1"]


def test_a_tick_launches_what_got_stuck_and_leaves_what_runs(
    stores: Stores, cluster: Cluster, dispatch: Dispatch, said: Said
) -> None:
    waiting, claimed = stores.accept("one").run_id, stores.accept("two").run_id
    stores.runs.claim(claimed)
    after = look_after(stores, cluster, dispatch)
    after.tick()
    after.tick()
    assert set(cluster.jobs) == {resource_name(waiting, 1), resource_name(claimed, 1)}
    assert said.types == ["run.launched.v1"] * 2
    assert cluster.stopped == []


def test_a_run_past_its_deadline_is_stopped_and_expires(
    stores: Stores, cluster: Cluster, dispatch: Dispatch, said: Said
) -> None:
    task = stores.accept().run_id
    dispatch(task, None)
    look_after(stores, cluster, dispatch, expired=True).tick()
    assert cluster.stopped == [resource_name(task, 1)]
    assert stores.status(task) == ("expired", "the deadline has passed", "")


def test_a_job_that_has_disappeared_ends_its_run(stores: Stores, cluster: Cluster, dispatch: Dispatch) -> None:
    task = stores.accept().run_id
    dispatch(task, None)
    cluster.jobs.clear()
    look_after(stores, cluster, dispatch).tick()
    assert stores.status(task)[:2] == ("failed", "the job has disappeared")


def recalled(text: str, score: float = 0.9) -> Recalled:
    return Recalled(Memory(uuid4(), uuid4(), "prompt", "prompt", text, NOW), score)


RUN = Run(uuid4(), 1, RunState.LAUNCHING, "alice", "default", "review", "direct", "Do it", "o/r", "", "", 60, None)


def test_a_prompt_without_memories_is_what_the_caller_asked_for() -> None:
    assert render(RUN, fence([], "nonce-of-16-chars", 100)) == "Do it\n\nrepository: o/r\nstage: review\n"


def test_memories_follow_the_prompt_in_their_fence() -> None:
    text = render(RUN, fence([recalled("small thing")], "nonce-of-16-chars", 500))
    assert "small thing" in text.partition("<recalled-memory-nonce-of-16-chars>")[2]


def test_only_what_the_prompt_could_hold_is_noted_as_shown(stores: Stores, cluster: Cluster, said: Said) -> None:
    class Both:
        """Finds one memory that fits and one that does not."""

        def nearest_to_task(self, task: UUID, limit: int) -> list[Recalled]:
            return [large, small]

    small, large = recalled("small thing", 0.5), recalled("x" * 9000)
    runs = Noting(stores)
    task = stores.accept().run_id
    Dispatch(runs, Both(), cluster, said, lambda: NOW, lambda: "nonce-of-16-chars", RECIPE)(task, None)
    assert runs.shown == [small]
    assert "xxxx" not in cluster.jobs[resource_name(task, 1)].files["CODEX_PROMPT_FILE"]
