"""The dispatcher's use cases."""

import json
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.dispatcher.dispatch import Dispatch
from functions.dispatcher.look_after import Patience
from functions.dispatcher.prompt import render
from shared.domain.errors import Unavailable
from shared.domain.ids import resource_name
from shared.domain.job import Job, JobPhase
from shared.domain.manifests import Seen
from shared.domain.memory import Memory, Recalled, fence
from shared.domain.policy import Policy, Rule
from shared.domain.report import End, Report
from shared.domain.run import RunState
from shared.domain.task import Caps, Run, Target
from shared.events.event import Event
from tests.contract.jobs.fake_jobs import FakeJobs
from tests.contract.stores.conftest import Stores, fakes
from tests.contract.stores.fake_runs import FakeLaunches
from tests.unit.functions.conftest import ALLOWED, NOW, RECIPE, Dispatcher, Said, Shelf


@pytest.fixture
def cluster() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def world(stores: Stores, cluster: FakeJobs, said: Said) -> Dispatcher:
    return Dispatcher(stores, cluster, said)


@pytest.fixture
def dispatch(world: Dispatcher) -> Dispatch:
    return world.dispatch


def test_a_launch_is_a_job_with_a_deadline_and_an_announcement(
    stores: Stores, cluster: FakeJobs, dispatch: Dispatch, said: Said
) -> None:
    task = stores.accept(deadline_seconds=60).run_id
    dispatch(task)
    job = cluster.jobs[resource_name(task, 1)]
    assert job.command == ("agent", "run")
    assert job.env["CODEX_DEADLINE"] == "2026-01-02T03:05:05Z"
    assert job.env["TRACEPARENT"] == "00-trace"
    assert set(job.files) == {"CODEX_PROMPT_FILE", "CODEX_CALLBACK_TOKEN_FILE"}
    assert job.files["CODEX_CALLBACK_TOKEN_FILE"] not in repr(job)
    assert said.types == ["run.launched.v1"]


def test_any_number_of_deliveries_is_one_job_and_one_announcement(
    stores: Stores, cluster: FakeJobs, dispatch: Dispatch, said: Said
) -> None:
    task = stores.accept().run_id
    for _ in range(20):
        dispatch(task)
    assert list(cluster.jobs) == [resource_name(task, 1)]
    assert said.types == ["run.launched.v1"]


def test_a_cluster_that_is_away_leaves_the_run_to_be_launched_again(
    stores: Stores, cluster: FakeJobs, dispatch: Dispatch, said: Said
) -> None:
    task = stores.accept().run_id
    cluster.away = True
    with pytest.raises(Unavailable):
        dispatch(task)
    assert stores.status(task)[0] == "launching"
    cluster.away = False
    dispatch(task)
    assert list(cluster.jobs) == [resource_name(task, 1)]
    assert said.types == ["run.launched.v1"]


def test_what_can_never_be_launched_ends_with_its_reason(
    stores: Stores, cluster: FakeJobs, dispatch: Dispatch, said: Said
) -> None:
    temporal, taken = stores.accept("one", mode="temporal").run_id, stores.accept("two").run_id
    cluster.create(Job(resource_name(taken, 1), "another task", 1, 60))
    dispatch(temporal)
    dispatch(taken)
    assert stores.status(temporal) == ("failed", "mode temporal is not enabled here: use argo or direct", "")
    assert stores.status(taken) == ("failed", "a job of that name belongs to another task", "")
    assert said.types == ["task.finished.v1", "task.finished.v1"]


def test_a_job_runs_only_after_the_launch_was_noted(stores: Stores, cluster: FakeJobs, said: Said) -> None:
    class Late(FakeLaunches):
        """Looks at the job at the moment of the note."""

        def launched(self, run: Run, resource: str, token_hash: bytes, announcement: Event) -> bool:
            phases.append(cluster.states[resource].phase)
            return super().launched(run, resource, token_hash, announcement)

    phases: list[JobPhase] = []
    assert isinstance(stores.launches, FakeLaunches)
    stores.launches = Late(stores.launches.world)
    task = stores.accept().run_id
    Dispatcher(stores, cluster, said).dispatch(task)
    assert phases == [JobPhase.HELD]
    assert cluster.states[resource_name(task, 1)].phase is JobPhase.PENDING


def test_a_dispatcher_that_was_frozen_leaves_no_second_job(cluster: FakeJobs, said: Said) -> None:
    stores = fakes(lease_seconds=0)
    task = stores.accept().run_id
    frozen = stores.claim(task)
    world = Dispatcher(stores, cluster, said)
    world.dispatch(task)
    name = resource_name(task, 1)
    cluster.note(name, JobPhase.FAILED, "exit code 1")
    world.look_after.job_changed(name)
    cluster.forget(name)
    assert world.launch(frozen, ALLOWED) is False
    world.dispatch._leave(frozen)
    assert cluster.states[name].phase is JobPhase.STOPPED, "what it made never ran"
    assert stores.status(task)[0] == "failed"
    assert said.types == ["run.launched.v1", "task.finished.v1"]


@pytest.mark.parametrize(
    ("run", "rule", "reason"),
    [
        ({"caller": "mallory"}, "default", "no rule names the caller mallory"),
        ({"mode": "temporal", "caller": "bob"}, "bob", "it does not allow mode temporal"),
        ({"caller": "bob", "metadata": {"image": "evil:1"}}, "bob", "it does not allow image evil:1"),
    ],
)
def test_what_the_policy_denies_ends_as_denied_and_makes_nothing(
    stores: Stores, cluster: FakeJobs, said: Said, run: dict[str, Any], rule: str, reason: str
) -> None:
    policy = Policy([Rule("bob", ["bob"], ["direct"], images=["codex:*"])], "v1")
    world = Dispatcher(stores, cluster, said, policy)
    task = stores.accept(**run).run_id
    for _ in range(2):
        world.dispatch(task)
    assert stores.status(task) == ("denied", f"denied by rule {rule}: {reason}", "")
    assert cluster.jobs == {}
    assert said.types == ["task.finished.v1"]


def test_a_policy_that_changed_while_a_run_waited_is_the_one_that_counts(cluster: FakeJobs, said: Said) -> None:
    stores = fakes(Caps(1, 0, 0, 0))
    world = Dispatcher(stores, cluster, said)
    first, second = stores.accept("one").run_id, stores.accept("two").run_id
    world.dispatch(first)
    world.dispatch(second)
    assert stores.status(second)[:2] == ("queued", "waits: 1 of 1 runs are active")
    world.policy = Policy([], "v2")
    cluster.note(resource_name(first, 1), JobPhase.FAILED, "exit code 1")
    world.look_after.job_changed(resource_name(first, 1))
    assert stores.status(second)[0] == "denied"
    assert resource_name(second, 1) not in cluster.jobs


def test_room_is_given_to_who_waits_when_a_job_ends_and_by_the_tick(cluster: FakeJobs, said: Said) -> None:
    stores = fakes(Caps(1, 0, 0, 0))
    world = Dispatcher(stores, cluster, said)
    tasks = [stores.accept(name).run_id for name in ("one", "two", "three")]
    for task in tasks:
        world.dispatch(task)
    names = [resource_name(task, 1) for task in tasks]
    assert list(cluster.jobs) == names[:1]
    cluster.note(names[0], JobPhase.FAILED, "exit code 1")
    world.look_after.job_changed(names[0])
    assert list(cluster.jobs) == names[:2]
    cluster.note(names[1], JobPhase.FAILED, "exit code 1")
    world.look_after.tick()
    assert list(cluster.jobs) == names


@pytest.mark.parametrize(
    ("phase", "reason", "end"),
    [
        (JobPhase.FAILED, "exit code 7", ("failed", "exit code 7", "")),
        (JobPhase.EVICTED, "the pod was evicted: disk", ("failed", "the pod was evicted: disk", "")),
        (JobPhase.LOST, "", ("failed", "the container lost", "")),
        (JobPhase.STOPPED, "", ("failed", "the container stopped", "")),
        (JobPhase.SUCCEEDED, "", ("failed", "the container ended without reporting a result", "")),
        (JobPhase.EXPIRED, "", ("expired", "the deadline has passed", "")),
    ],
)
def test_a_job_that_is_over_ends_its_run_once(
    stores: Stores, cluster: FakeJobs, world: Dispatcher, said: Said, phase: JobPhase, reason: str, end: object
) -> None:
    task = stores.accept().run_id
    world.dispatch(task)
    cluster.note(resource_name(task, 1), phase, reason)
    world.look_after.job_changed(resource_name(task, 1))
    world.look_after.job_changed(resource_name(task, 1))
    world.look_after.tick()
    assert stores.status(task) == end
    assert said.types == ["run.launched.v1", "task.finished.v1"]
    assert cluster.retired == [resource_name(task, 1)], "once its end is recorded it may be cleaned up, and not before"


def test_an_end_that_the_policy_forgives_is_followed_by_another_attempt(
    stores: Stores, cluster: FakeJobs, said: Said
) -> None:
    policy = Policy([Rule("all", ["*"], ["*"], images=["*"], service_accounts=["*"], attempts=2)], "v1")
    world = Dispatcher(stores, cluster, said, policy)
    task = stores.accept().run_id
    world.dispatch(task)
    first, second = resource_name(task, 1), resource_name(task, 2)
    cluster.note(first, JobPhase.EVICTED, "the pod was evicted")
    world.look_after.job_changed(first)
    assert stores.status(task)[:2] == ("queued", "attempt 1 ended, another follows: the pod was evicted")
    world.look_after.tick()
    assert second not in cluster.jobs, "it waits a little"
    _hurry(stores, task)
    world.look_after.tick()
    assert cluster.jobs[second].env["CODEX_ATTEMPT"] == "2"
    cluster.note(second, JobPhase.EVICTED, "the pod was evicted")
    world.look_after.tick()
    assert stores.status(task)[:2] == ("failed", "the pod was evicted")
    assert said.types == ["run.launched.v1", "run.launched.v1", "task.finished.v1"]


def test_a_container_that_does_not_start_is_waited_for_and_then_given_up(
    stores: Stores, cluster: FakeJobs, said: Said
) -> None:
    patient = Dispatcher(stores, cluster, said)
    task = stores.accept().run_id
    patient.dispatch(task)
    name = resource_name(task, 1)
    cluster.note(name, JobPhase.PENDING, "the image cannot be pulled: no such host")
    patient.look_after.tick()
    assert stores.status(task)[:2] == ("running", "waits to start: the image cannot be pulled: no such host")
    Dispatcher(stores, cluster, said, patience=Patience(900, 0)).look_after.tick()
    reason = "the container did not start within 0 s: the image cannot be pulled: no such host"
    assert stores.status(task)[:2] == ("failed", reason)
    assert cluster.stopped == [name]


def test_a_launch_that_is_never_done_is_given_up(cluster: FakeJobs, said: Said) -> None:
    stores = fakes(lease_seconds=0)
    task = stores.accept().run_id
    stores.claim(task)
    Dispatcher(stores, cluster, said, patience=Patience(0, 600)).look_after.tick()
    assert stores.status(task)[:2] == ("failed", "could not be launched within 0 s")


def test_a_tick_launches_what_got_stuck_and_leaves_what_runs(cluster: FakeJobs, said: Said) -> None:
    stores = fakes(lease_seconds=0)
    waiting, claimed = stores.accept("one").run_id, stores.accept("two").run_id
    stores.claim(claimed)
    _older(stores, waiting, 61)
    world = Dispatcher(stores, cluster, said)
    world.look_after.tick()
    world.look_after.tick()
    assert set(cluster.jobs) == {resource_name(waiting, 1), resource_name(claimed, 1)}
    assert said.types == ["run.launched.v1"] * 2
    assert cluster.stopped == []


def test_a_job_that_was_noted_and_never_let_go_is_let_go_by_the_tick(
    stores: Stores, cluster: FakeJobs, world: Dispatcher
) -> None:
    task = stores.accept().run_id
    world.dispatch(task)
    name = resource_name(task, 1)
    cluster.note(name, JobPhase.HELD)
    world.look_after.tick()
    assert cluster.states[name].phase is JobPhase.PENDING


def test_a_run_past_its_deadline_is_stopped_and_expires(stores: Stores, cluster: FakeJobs, world: Dispatcher) -> None:
    task = stores.accept(deadline_seconds=5).run_id
    world.dispatch(task)
    _older(stores, task, 36)
    world.look_after.tick()
    assert cluster.stopped == [resource_name(task, 1)]
    assert stores.status(task) == ("expired", "the deadline has passed", "")


def test_a_job_that_has_disappeared_ends_its_run(stores: Stores, cluster: FakeJobs, world: Dispatcher) -> None:
    task = stores.accept().run_id
    world.dispatch(task)
    cluster.forget(resource_name(task, 1))
    world.look_after.tick()
    assert stores.status(task)[:2] == ("failed", "the job has disappeared: it was deleted")


def test_what_is_left_of_attempts_that_are_over_is_cleared_away(
    stores: Stores, cluster: FakeJobs, world: Dispatcher, said: Said
) -> None:
    held, running, strange = stores.accept("one").run_id, stores.accept("two").run_id, uuid4()
    stores.cancel(held)
    stores.launches.retry(stores.launch(running), "it was evicted", 3600)
    cluster.create(Job("of-nobody", "no task at all", 1, 60))
    for task, phase in ((held, JobPhase.HELD), (running, JobPhase.RUNNING), (strange, JobPhase.HELD)):
        name = resource_name(task, 1)
        cluster.create(Job(name, str(task), 1, 60))
        cluster.note(name, phase)
    world.look_after.tick()
    assert set(cluster.stopped) == {resource_name(held, 1), resource_name(running, 1)}
    assert cluster.states[resource_name(strange, 1)].phase is JobPhase.HELD, "it belongs to nobody that is known here"


def test_a_container_that_reported_its_end_has_a_moment_to_leave(
    stores: Stores, cluster: FakeJobs, world: Dispatcher
) -> None:
    task = stores.accept().run_id
    world.dispatch(task)
    name = resource_name(task, 1)
    cluster.note(name, JobPhase.RUNNING)
    stores.reports.record(task, 1, [Report("e", 1, "completed")], End(RunState.SUCCEEDED, "", "done"), None)
    world.look_after.tick()
    assert (cluster.stopped, cluster.retired) == ([], [])
    _older(stores, task, 61)
    world.look_after.tick()
    assert cluster.stopped == [name]
    world.look_after.tick()
    assert cluster.retired == [name]


def test_nothing_is_launched_while_launching_is_off(stores: Stores, cluster: FakeJobs, said: Said) -> None:
    task = stores.accept().run_id
    world = Dispatcher(stores, cluster, said, recipe=replace(RECIPE, launching=False))
    world.dispatch(task)
    world.look_after.tick()
    assert cluster.jobs == {}
    assert stores.status(task)[0] == "accepted"


def test_targets_are_looked_at_before_and_after_and_what_changed_is_told(
    stores: Stores, cluster: FakeJobs, said: Said
) -> None:
    target = Target("apps/v1", "Deployment", "shop", "web")
    shelf = Shelf({"spec": {"replicas": 2}, "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "1"}})
    world = Dispatcher(stores, cluster, said, targets=shelf)
    task = stores.accept(targets=(target,)).run_id
    world.dispatch(task)
    shelf.manifest = {"spec": {"replicas": 0}, "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "9"}}
    cluster.note(resource_name(task, 1), JobPhase.FAILED, "exit code 1")
    world.look_after.job_changed(resource_name(task, 1))
    assert stores.story(task) == ["accepted", "snapshot before", "launched", "failed", "snapshot after"]
    told = stores.views.timeline(task, "default")[-1].detail
    assert told["diff"] == "~ apps/v1 Deployment shop/web: spec.replicas: 2 -> 0"


def test_targets_of_a_task_that_is_denied_are_never_looked_at(stores: Stores, cluster: FakeJobs, said: Said) -> None:
    class Private(Shelf):
        def look(self, targets: Sequence[Target]) -> list[Seen]:
            raise AssertionError("nobody allowed that")

    target = Target("v1", "ConfigMap", "kube-system", "settings")
    world = Dispatcher(stores, cluster, said, Policy([], "v1"), targets=Private(None))
    task = stores.accept(targets=(target,)).run_id
    stores.claim(task)
    world.dispatch.end(stores.runs.open()[0].run, RunState.DENIED, "denied")
    world.look_after.tick()
    assert stores.runs.unsettled() == []
    assert stores.status(task)[0] == "denied"


def test_a_workflow_gets_what_the_earlier_system_sent(stores: Stores, cluster: FakeJobs, said: Said) -> None:
    workflow = {
        "namespace": "argo",
        "workflowTemplate": "github-codex-implementation",
        "namePrefix": "github-codex-implementation-",
        "serviceAccount": "codex-workflow",
        "parameters": {"head": "codex/1", "base": "main", "issue_number": "7", "rawevent": ""},
    }
    task = stores.accept(
        mode="argo", repository="o/r", base="main", head="codex/1", prompt="Do <it>", orchestration=workflow
    ).run_id
    Dispatcher(stores, cluster, said).dispatch(task)
    (job,) = cluster.jobs.values()
    assert job.name == f"github-codex-implementation-{task.hex[:16]}-1"
    assert (job.namespace, job.template, job.service_account, job.image) == (
        "argo",
        "github-codex-implementation",
        "codex-workflow",
        "",
    )
    assert job.labels == {"codex.issue_number": "7"}
    assert job.annotations == {
        "codex.repository": "o/r",
        "codex.issue_number": "7",
        "codex.head": "codex/1",
        "codex.base": "main",
    }
    given = dict(job.parameters)
    body, raw = (json.loads(b64decode(given.pop(name))) for name in ("eventBody", "rawEvent"))
    assert given == {"head": "codex/1", "base": "main", "issue_number": "7", "rawevent": "", "prompt": "Do <it>"}
    assert (body["stage"], raw["stage"]) == ("implementation", "CODEX_TASK_STAGE_IMPLEMENTATION")
    assert body | {"stage": ""} == raw | {"stage": ""}
    assert (body["prompt"], body["repository"], body["issueNumber"]) == ("Do <it>", "o/r", "7")


def recalled(text: str, score: float = 0.9) -> Recalled:
    return Recalled(Memory(uuid4(), uuid4(), "prompt", "prompt", text, NOW), score)


RUN = Run(uuid4(), 1, RunState.LAUNCHING, "alice", "default", "review", "direct", "Do it", "o/r", "", "", 60, None)


def test_a_prompt_without_memories_is_what_the_caller_asked_for() -> None:
    assert render(RUN, fence([], "nonce-of-16-chars", 100)) == "Do it\n\nrepository: o/r\nstage: review\n"


def test_memories_follow_the_prompt_in_their_fence() -> None:
    text = render(RUN, fence([recalled("small thing")], "nonce-of-16-chars", 500))
    assert "small thing" in text.partition("<recalled-memory-nonce-of-16-chars>")[2]


def test_only_what_the_prompt_could_hold_is_noted_as_shown(stores: Stores, cluster: FakeJobs, said: Said) -> None:
    class Both:
        """Finds one memory that fits and one that does not."""

        def nearest_to_task(self, task: UUID, limit: int) -> list[Recalled]:
            return [large, small]

    small, large = recalled("small thing", 0.5), recalled("x" * 9000)
    task = stores.accept().run_id
    Dispatcher(stores, cluster, said, memories=Both()).dispatch(task)
    shown = [entry.detail for entry in stores.views.timeline(task, "default") if entry.what == "memory shown"]
    assert shown == [{"channel": "prompt", "memoryId": str(small.memory.id)}]
    prompt = cluster.jobs[resource_name(task, 1)].files["CODEX_PROMPT_FILE"]
    assert "xxxx" not in prompt and "small thing" in prompt


def _hurry(stores: Stores, task: UUID) -> None:
    """The time before which it is not launched again has come."""
    assert isinstance(stores.launches, FakeLaunches)
    stores.launches.world.tasks[task].not_before = 0


def _older(stores: Stores, task: UUID, seconds: float) -> None:
    """Lets time pass for one task."""
    assert isinstance(stores.launches, FakeLaunches)
    kept = stores.launches.world.tasks[task]
    kept.moved_at -= seconds
    kept.launched_at = kept.launched_at - seconds if kept.launched_at is not None else None
    kept.ended_at = kept.ended_at - seconds if kept.ended_at is not None else None
