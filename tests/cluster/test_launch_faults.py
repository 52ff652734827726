"""Whatever fails on the way from an event to a running container: each task runs once, and nothing is left over."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shared.domain.ids import resource_name
from shared.local.state import free_port
from tests.cluster.api import Api
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fake import FakeApiServer
from tests.cluster.fault_proxy import DONE_AND_RESET, FAULTS, Fault, FaultProxy
from tests.cluster.launching import LEASE_SECONDS, Launching, launching, prepared
from tests.cluster.rights import Call
from tests.cluster.stage import cluster_stage
from tests.component.conftest import Stage, tick, until
from tests.component.functions import Function
from tests.patience import PATIENCE

# A real API server shares two cores with everything else; the fake one is there to be quick.
MANY = {"fake": 200, "real": 1000}


@pytest.mark.timeout(600)
def test_a_third_of_all_calls_fails_and_every_task_is_one_job(
    dispatching: Launching, proxy: FaultProxy, stage: Stage, server: FakeApiServer | None
) -> None:
    tasks = [stage.accept(f"task {number}") for number in range(MANY["fake" if server else "real"])]
    dispatching.start()
    proxy.rate = 0.3
    dispatching.prepare(tasks)
    dispatching.tick_until(lambda: dispatching.statuses(tasks) == {"running"}, seconds=300)
    proxy.rate = 0.0
    dispatching.tick_until(lambda: not [job for job in dispatching.jobs() if job["spec"].get("suspend")])
    dispatching.each_is_one_job(tasks)
    assert all(proxy.counts[fault] > 0 for fault in FAULTS)
    assert [dispatching.launches(task) for task in tasks] == [1] * len(tasks)
    rows = stage.rows("SELECT DISTINCT attempt FROM codex_kb.codex_tasks")
    assert [row["attempt"] for row in rows] == [1]
    print(f"\n{len(tasks)} tasks, {len(dispatching.jobs())} Jobs, faults: {dict(proxy.counts)}")


def on(method: str, plural: str) -> Callable[[str, str], bool]:
    """A call of this kind: of the collection for POST, of one object otherwise."""
    return lambda asked, path: (
        asked == method and (path.endswith(f"/{plural}") if method == "POST" else f"/{plural}/" in path)
    )


STEPS = {
    "before the Secret": (on("POST", "secrets"), "before"),
    "after the Secret": (on("POST", "secrets"), "after"),
    "before the Job": (on("POST", "jobs"), "before"),
    "after the Job": (on("POST", "jobs"), "after"),
    "before the Secret is owned": (on("PATCH", "secrets"), "before"),
    "after the Secret is owned": (on("PATCH", "secrets"), "after"),
    "before the release": (on("PATCH", "jobs"), "before"),
    "after the release": (on("PATCH", "jobs"), "after"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_dispatcher_killed_at_any_step_is_followed_by_one_that_goes_on(
    dispatching: Launching, proxy: FaultProxy, stage: Stage, step: str
) -> None:
    task = stage.accept(f"killed {step}")
    first = dispatching.start()
    wanted, when = STEPS[step]
    killed: list[str] = []

    def strike(method: str, path: str, *_: Any) -> None:
        if wanted(method, path) and not killed:
            killed.append(step)
            os.killpg(first.process.pid, signal.SIGKILL)

    setattr(proxy.hooks, when, strike)
    with pytest.raises(AssertionError):
        dispatching.deliver(prepared(task), tries=1)
    assert killed == [step]
    dispatching.start()
    time.sleep(LEASE_SECONDS)
    dispatching.tick_until(lambda: (job := dispatching.job(task)) and not job["spec"].get("suspend"))
    dispatching.tick_until(lambda: stage.status(task)[0] == "running")
    dispatching.each_is_one_job([task])
    dispatching.deliver(prepared(task))
    dispatching.deliver(tick())
    dispatching.each_is_one_job([task])
    assert dispatching.launches(task) == 1
    assert len(dispatching.pods(task)) <= 1


FREEZES = {step: STEPS[step] for step in ("before the Secret", "before the Job", "before the Secret is owned")}


def freeze(dispatching: Launching, proxy: FaultProxy, step: str) -> tuple[Function, list[str]]:
    """A dispatcher that will stand still in the middle of a launch; the list has the step once it does."""
    frozen = dispatching.start()
    wanted, when = FREEZES[step]
    stopped: list[str] = []

    def strike(method: str, path: str, *_: Any) -> None:
        if wanted(method, path) and not stopped:
            stopped.append(step)
            os.killpg(frozen.process.pid, signal.SIGSTOP)
            raise Fault("500")  # nothing of this call arrives: it is sent again after the thaw

    setattr(proxy.hooks, when, strike)
    return frozen, stopped


@pytest.mark.parametrize("step", FREEZES)
@pytest.mark.parametrize("over", [False, True], ids=["still running", "over and deleted"])
def test_a_dispatcher_frozen_for_longer_than_its_lease_is_refused_when_it_thaws(
    dispatching: Launching, proxy: FaultProxy, stage: Stage, step: str, over: bool
) -> None:
    task = stage.accept(f"frozen {step}")
    frozen, stopped = freeze(dispatching, proxy, step)
    delivery = threading.Thread(target=lambda: frozen.deliver(prepared(task)), daemon=True)
    delivery.start()
    until(lambda: stopped)
    second = dispatching.start()
    time.sleep(LEASE_SECONDS)
    dispatching.tick_until(lambda: stage.status(task)[0] == "running")
    uid = dispatching.job(task)["metadata"]["uid"]  # type: ignore[index]
    if over:
        dispatching.deliver(dispatching.cancel(task), to=second)
        until(lambda: dispatching.job(task) is None and not dispatching.secrets())
    os.killpg(frozen.process.pid, signal.SIGCONT)
    delivery.join(PATIENCE)
    assert not delivery.is_alive()
    if over:
        dispatching.tick_until(lambda: dispatching.jobs() == [] and dispatching.secrets() == [])
        assert stage.status(task)[0] == "canceled"
        assert dispatching.pods(task) == []
    else:
        dispatching.each_is_one_job([task])
        assert dispatching.job(task)["metadata"]["uid"] == uid  # type: ignore[index]
    assert dispatching.launches(task) == 1


def test_an_answer_that_never_came_is_not_a_second_job(dispatching: Launching, proxy: FaultProxy, stage: Stage) -> None:
    tasks = [stage.accept(f"lost answer {number}") for number in range(20)]
    dispatching.start()
    proxy.faults, proxy.rate = (DONE_AND_RESET,), 0.5
    dispatching.prepare(tasks)
    dispatching.tick_until(lambda: dispatching.statuses(tasks) == {"running"})
    proxy.rate = 0.0
    dispatching.tick_until(lambda: not [job for job in dispatching.jobs() if job["spec"].get("suspend")])
    dispatching.each_is_one_job(tasks)


# A control plane of its own: nobody else's is to be restarted.
RESTARTED = ["fake", *(["real"] if "FACTEUR_TEST_APISERVER_PID_FILE" in os.environ else [])]


@contextmanager
def restartable(kind: str, folder: Path) -> Iterator[tuple[Api, Callable[[], None], Callable[[], None]]]:
    """An API server, what ends it and what lets it come back."""
    if kind == "fake":
        # No port of those that are given away by the system while nobody listens on it.
        with FakeApiServer(folder, free_port()) as fake:
            yield Api(fake.url, fake.credentials), fake.stop, fake.start
    else:
        with ControlPlane(folder) as plane:
            kill = partial(os.kill, plane.pid("kube-apiserver"), signal.SIGKILL)
            yield Api(plane.url, plane.credentials), kill, lambda: None  # it is restarted by itself


# A control plane starts beside all that runs here.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", RESTARTED)
def test_a_restart_of_the_api_server_costs_time_only(kind: str, stage: Stage, tmp_path: Path) -> None:
    tasks = [stage.accept(f"task {number}") for number in range(20)]
    with (
        restartable(kind, tmp_path / "server") as (api, end, begin),
        cluster_stage(api, tmp_path / "credentials") as cluster,
        FaultProxy(api.url, api.credentials / "ca.crt") as proxy,
        launching(cluster, proxy, stage, tmp_path) as dispatching,
    ):
        dispatching.start()
        dispatching.prepare(tasks[:10])
        end()
        answer = dispatching.functions[-1].deliver(prepared(tasks[10]))
        # One that is back within seconds is waited for by the call itself.
        assert answer.status == 503 or kind == "real"
        begin()
        dispatching.prepare(tasks, at_once=4, tries=60)
        dispatching.tick_until(lambda: dispatching.statuses(tasks) == {"running"})
        dispatching.each_is_one_job(tasks)


def test_a_token_that_has_expired_is_waited_for_and_read_anew(dispatching: Launching, stage: Stage) -> None:
    task = stage.accept("its token has expired")
    function = dispatching.start()
    file = dispatching.cluster.credentials / "token"
    good = file.read_text()
    file.write_text("expired")
    assert function.deliver(prepared(task)).status == 503
    assert stage.status(task)[1] == "is launched again: the API server does not know the dispatcher's token"
    file.write_text(good)
    dispatching.deliver(prepared(task))
    dispatching.each_is_one_job([task])


RIGHTS = [("secrets", "create"), ("jobs.batch", "create"), ("secrets", "patch")]


@pytest.mark.parametrize(("resource", "verb"), RIGHTS)
def test_a_right_that_is_missing_fails_the_task_and_is_named(
    dispatching: Launching, stage: Stage, resource: str, verb: str
) -> None:
    cluster = dispatching.cluster
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{cluster.jobs}/roles/facteur-dispatcher"
    role = cluster.api.get(path)
    assert role
    for rule in role["rules"]:
        if resource.partition(".")[0] in rule["resources"]:
            rule["verbs"].remove(verb)
    cluster.api.merge(path, {"rules": role["rules"]})
    task = stage.accept(f"without the right to {verb} {resource}")
    dispatching.start()
    # A real API server has rights from a cache.
    name, _, group = resource.partition(".")
    lost = Call(verb, name, cluster.jobs, group).request()
    until(lambda: Api(cluster.api.url, cluster.credentials).request(*lost)[0] == 403)
    dispatching.deliver(prepared(task))
    reason = f"the dispatcher may not {verb} {resource} in namespace {cluster.jobs}: grant its role that verb"
    assert stage.status(task) == ("failed", reason)
    until(lambda: dispatching.jobs() == [] and dispatching.secrets() == [])


def test_a_job_of_that_name_that_is_not_ours_is_not_touched(dispatching: Launching, stage: Stage) -> None:
    task = stage.accept("its name is taken")
    name, cluster = resource_name(task, 1), dispatching.cluster
    container = {"name": "theirs", "image": "registry.invalid/theirs:1"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    theirs = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"suspend": True, "template": template},
    }
    uid = cluster.api.create(cluster.path("jobs"), theirs)["metadata"]["uid"]
    dispatching.start()
    dispatching.deliver(prepared(task))
    reason = f"there is a Job {name} in namespace {cluster.jobs} that is not this attempt's"
    assert stage.status(task) == ("failed", reason)
    dispatching.deliver(tick())
    job = dispatching.job(task)
    assert job
    assert (job["metadata"]["uid"], job["spec"]["suspend"]) == (uid, True)
    assert "deletionTimestamp" not in job["metadata"]
    assert dispatching.secrets() == []
