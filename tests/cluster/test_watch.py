"""What becomes of a job that was launched: every way in which it can end is noticed, and said in words."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shared.domain.ids import resource_name
from shared.domain.task import Target
from tests.cluster.api import Api
from tests.cluster.kubelet import Kubelet
from tests.cluster.launching import Launching, prepared
from tests.cluster.ticking import ticking
from tests.component.conftest import Stage, tick, until
from tests.component.functions import running


def launch(dispatching: Launching, stage: Stage, **changes: Any) -> UUID:
    """A task whose pod is there, and waits for its node."""
    task = stage.accept(f"task for {sorted(changes)}", **changes)
    dispatching.deliver(prepared(task))
    until(lambda: dispatching.pods(task))
    return task


def pod_becomes(dispatching: Launching, task: UUID, **status: Any) -> None:
    """What a kubelet says of the pod."""
    (pod,) = dispatching.pods(task)
    path = dispatching.cluster.path("pods", pod["metadata"]["name"])
    dispatching.cluster.api.merge(f"{path}/status", {"status": status})


def terminated(code: int, reason: str = "Error") -> dict[str, Any]:
    end = {
        "exitCode": code,
        "reason": reason,
        "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:00:01Z",
    }
    return {"phase": "Failed", "containerStatuses": [_container({"terminated": end})]}


def waiting(reason: str, message: str) -> dict[str, Any]:
    return {"phase": "Pending", "containerStatuses": [_container({"waiting": {"reason": reason, "message": message}})]}


def _container(state: dict[str, Any]) -> dict[str, Any]:
    about = {"name": "codex", "image": "registry.invalid/codex:1", "imageID": "", "ready": False, "restartCount": 0}
    return about | {"state": state}


DISRUPTED = {
    "phase": "Failed",
    "conditions": [
        {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": "a pod of higher priority needed its place",
        }
    ],
}
ENDS = {
    "exit code": (terminated(7), "the container failed: exit code 7"),
    "out of memory": (terminated(137, "OOMKilled"), "the container ran out of memory (OOMKilled): raise its limit"),
    "evicted": (
        {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
        "the pod was evicted: The node was low on resource: memory.",
    ),
    "preempted": (DISRUPTED, "the pod was taken off its node: a pod of higher priority needed its place"),
    "silent": ({"phase": "Succeeded"}, "the container ended without reporting a result"),
    "no such image name": (
        waiting("InvalidImageName", 'couldn\'t parse image name "registry.invalid/UPPER"'),
        'the image has no valid name: couldn\'t parse image name "registry.invalid/UPPER"',
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_every_end_becomes_a_failure_with_a_reason_that_a_person_understands(
    dispatching: Launching, stage: Stage, how: str
) -> None:
    dispatching.start()
    task = launch(dispatching, stage)
    status, reason = ENDS[how]
    pod_becomes(dispatching, task, **status)

    def over() -> bool:
        dispatching.changed(task)
        return stage.status(task)[0] != "running"

    until(over)
    assert stage.status(task) == ("failed", reason)
    dispatching.tick_until(lambda: stage.outbox(task) == [])
    # What the broker did not acknowledge within seconds is sent again, and has the same id.
    said = {event.id: event.type for event in dispatching.broker.events if event.subject == str(task)}
    assert [type_.split(".", 3)[3] for type_ in said.values()] == ["run.launched.v1", "task.finished.v1"]


def test_a_job_is_kept_until_its_end_is_recorded_and_then_given_its_time_to_live(
    dispatching: Launching, stage: Stage
) -> None:
    dispatching.start(FACTEUR_JOBS_KEPT_SECONDS="2")
    task = launch(dispatching, stage)
    assert "ttlSecondsAfterFinished" not in dispatching.job(task)["spec"]  # type: ignore[index]
    pod_becomes(dispatching, task, **terminated(1))
    dispatching.tick_until(lambda: stage.status(task)[0] == "failed")
    dispatching.tick_until(lambda: dispatching.job(task) is None and dispatching.secrets() == [])
    assert stage.status(task) == ("failed", "the container failed: exit code 1")


def test_a_job_past_its_deadline_expires(dispatching: Launching, stage: Stage) -> None:
    dispatching.start()
    # Its pod is not waited for: the deadline may be over, and the pod gone, before anybody looks.
    task = stage.accept("late", deadline_seconds=1)
    dispatching.deliver(prepared(task))
    dispatching.tick_until(lambda: stage.status(task)[0] != "running")
    assert stage.status(task) == ("expired", "the deadline has passed")


def test_a_job_that_somebody_deleted_ends_its_task(dispatching: Launching, stage: Stage) -> None:
    dispatching.start()
    task = launch(dispatching, stage)
    name = resource_name(task, 1)
    dispatching.cluster.api.delete(dispatching.cluster.path("jobs", name), {"propagationPolicy": "Background"})
    until(lambda: dispatching.job(task) is None)
    dispatching.changed(task)
    assert stage.status(task) == ("failed", "the job has disappeared: it was deleted")


def test_an_image_that_cannot_be_pulled_is_shown_and_then_given_up(dispatching: Launching, stage: Stage) -> None:
    dispatching.start(FACTEUR_LAUNCH_START_SECONDS="600")
    task = launch(dispatching, stage)
    pod_becomes(dispatching, task, **waiting("ErrImagePull", "no such host"))
    dispatching.deliver(tick())
    assert stage.status(task) == ("running", "waits to start: the image cannot be pulled: no such host")
    dispatching.start(FACTEUR_LAUNCH_START_SECONDS="1")
    dispatching.tick_until(lambda: stage.status(task)[0] != "running")
    reason = "the container did not start within 1 s: the image cannot be pulled: no such host"
    assert stage.status(task) == ("failed", reason)
    until(lambda: dispatching.jobs() == [] and dispatching.secrets() == [])


def test_an_evicted_pod_is_followed_by_another_attempt_where_the_policy_grants_it(
    dispatching: Launching, stage: Stage
) -> None:
    policy = dispatching.folder / "policy.yaml"
    policy.write_text(policy.read_text() + "    attempts: 2\n")
    dispatching.start()
    task = launch(dispatching, stage)
    pod_becomes(dispatching, task, phase="Failed", reason="Evicted", message="The node was low on memory.")
    dispatching.tick_until(lambda: stage.status(task)[0] == "queued")
    assert stage.status(task)[1].startswith("attempt 1 ended, another follows: the pod was evicted")
    stage.database.do("UPDATE codex_kb.codex_tasks SET not_before = now() WHERE id = %(task)s", {"task": task})
    dispatching.tick_until(lambda: (job := dispatching.job(task, 2)) and not job["spec"].get("suspend"))
    until(lambda: dispatching.job(task, 1) is None)
    assert stage.status(task)[0] == "running"
    assert [each["metadata"]["name"] for each in dispatching.secrets()] == [resource_name(task, 2)]


def test_a_cancel_deletes_the_job_with_its_pod_and_is_confirmed(dispatching: Launching, stage: Stage) -> None:
    dispatching.start()
    task = launch(dispatching, stage)
    event = dispatching.cancel(task)
    for _ in range(2):
        dispatching.deliver(event)
    assert stage.status(task) == ("canceled", "canceled by alice")
    until(lambda: dispatching.jobs() == [] and dispatching.pods(task) == [] and dispatching.secrets() == [])
    dispatching.tick_until(
        lambda: stage.rows("SELECT FROM codex_kb.codex_tasks WHERE id = %(task)s AND settled_at IS NOT NULL", task)
    )


def test_leftovers_of_dispatchers_that_are_gone_are_cleared_away(dispatching: Launching, stage: Stage) -> None:
    cluster = dispatching.cluster
    task = stage.accept("ended before its job was made")
    dispatching.cancel(task)
    labels = {
        "app.kubernetes.io/managed-by": "facteur",
        "codex.proompteng.ai/task": str(task),
        "codex.proompteng.ai/attempt": "1",
        "codex.proompteng.ai/kind": "Job",
    }
    secret = {"metadata": {"name": resource_name(task, 1), "labels": labels}, "stringData": {"a": "b"}}
    cluster.api.create(cluster.path("secrets"), secret)
    theirs = {"metadata": {"name": "theirs"}, "stringData": {"a": "b"}}
    cluster.api.create(cluster.path("secrets"), theirs)
    dispatching.start()
    dispatching.tick_until(lambda: [each["metadata"]["name"] for each in dispatching.secrets()] == ["theirs"])


def test_targets_are_remembered_before_and_after_without_their_secrets(dispatching: Launching, stage: Stage) -> None:
    cluster = dispatching.cluster
    rights = {
        "metadata": {"name": "targets"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
    }
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{cluster.jobs}"
    cluster.api.create(f"{rbac}/roles", rights)
    binding = cluster.api.get(f"{rbac}/rolebindings/facteur-dispatcher")
    assert binding
    bound = {"metadata": {"name": "targets"}, "roleRef": binding["roleRef"] | {"name": "targets"}}
    cluster.api.create(f"{rbac}/rolebindings", bound | {"subjects": binding["subjects"]})
    settings = {"metadata": {"name": "settings"}, "data": {"COLOUR": "blue", "PASSWORD": "hunter2hunter2"}}
    cluster.api.create(cluster.path("configmaps"), settings)
    targets = (
        Target("v1", "ConfigMap", cluster.jobs, "settings"),
        Target("apps/v1", "Deployment", cluster.jobs, "settings"),
        Target("v1", "ConfigMap", cluster.jobs, "settings?x=/../../secrets"),
    )
    dispatching.start()
    path = cluster.path("configmaps", "settings")
    # A real API server has rights from a cache.
    until(lambda: Api(cluster.api.url, cluster.credentials).request("GET", path)[0] == 200)
    task = launch(dispatching, stage, targets=targets)
    cluster.api.merge(path, {"data": {"COLOUR": "green", "PASSWORD": "hunter3hunter3"}})
    pod_becomes(dispatching, task, **terminated(1))
    dispatching.tick_until(
        lambda: stage.rows("SELECT FROM codex_kb.codex_tasks WHERE id = %(task)s AND settled_at IS NOT NULL", task)
    )
    rows = stage.rows(
        "SELECT type, content, diff FROM codex_kb.codex_task_snapshots WHERE task_id = %(task)s ORDER BY created_at",
        task,
    )
    assert [row["type"] for row in rows] == ["before", "after"]
    before, after = rows
    assert '"COLOUR": "blue"' in before["content"] and '"COLOUR": "green"' in after["content"]
    assert "hunter" not in before["content"] + after["content"] + after["diff"]
    assert "the dispatcher may not get it: Forbidden" in before["content"]
    assert "it has no name that an object can have" in before["content"]
    changes = after["diff"].splitlines()
    assert f'~ v1 ConfigMap {cluster.jobs}/settings: data.COLOUR: "blue" -> "green"' in changes
    assert len([line for line in changes if "PASSWORD" in line]) == 1
    stage.embed(task)
    kinds = stage.rows("SELECT kind FROM codex_kb.codex_task_memory_index WHERE task_id = %(task)s", task)
    assert {"snapshot-before", "snapshot-after", "change", "outcome"} <= {row["kind"] for row in kinds}


@pytest.fixture
def callback(dispatching: Launching, stage: Stage, tmp_path: Path) -> Iterator[str]:
    with running("callback", dispatching.env, tmp_path / "log-callback") as function:
        yield function.url


def test_a_container_on_the_cluster_reports_by_what_it_was_given(
    dispatching: Launching, stage: Stage, callback: str, tmp_path: Path
) -> None:
    command = f'["{sys.executable}", "-m", "tests.chaos.quick_runner"]'
    dispatching.start(FACTEUR_CALLBACK_URL=callback, FACTEUR_RUNNER_COMMAND=command)
    task = stage.accept("Run me once")
    with (
        Kubelet(dispatching.cluster.api, dispatching.cluster.jobs, tmp_path / "node") as kubelet,
        ticking(kubelet.tick),
    ):
        dispatching.deliver(prepared(task))
        dispatching.tick_until(lambda: stage.status(task)[0] not in ("launching", "running"))
        assert stage.status(task) == ("succeeded", "")
        dispatching.tick_until(lambda: "ttlSecondsAfterFinished" in (dispatching.job(task) or {}).get("spec", {}))
    job = dispatching.job(task)
    assert job
    assert job["status"]["succeeded"] == 1
    token = stage.database.one("SELECT token_hash FROM codex_kb.codex_tasks WHERE id = %(id)s", {"id": task}) or {}
    assert token["token_hash"]
    said = str(job)
    assert "Run me once" not in said and "fct_1_" not in said
