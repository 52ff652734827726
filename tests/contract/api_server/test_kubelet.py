"""The stand-in of scheduler and node: pods as processes."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cluster.kubelet import Kubelet
from tests.cluster.ticking import ticking
from tests.contract.api_server.space import Object, Space, eventually


@pytest.fixture
def kubelet(space: Space, tmp_path: Path) -> Iterator[Kubelet]:
    with Kubelet(space.api, space.namespace, tmp_path / "node") as kubelet, ticking(kubelet.tick, seconds=0.03):
        yield kubelet


def _job(space: Space, code: str, name: str = "run", image: str = "agent:1", **pod: Any) -> Object:
    container = {"name": "agent", "image": image, "command": [sys.executable, "-c"], "args": [code]}
    container |= {key: pod.pop(key) for key in ("env", "volumeMounts", "command", "args") if key in pod}
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container], **pod}
    return space.job(name, template={"spec": spec})


def _terminated(space: Space, name: str = "run") -> Object:
    def look() -> Object:
        pods = space.pods_of(name)
        statuses = pods[0]["status"].get("containerStatuses") if pods else None
        return dict(statuses[0]["state"].get("terminated") or {}) if statuses else {}

    return eventually(look, f"the container of {name} has ended")


def _waiting(space: Space, reason: str) -> Object:
    def look() -> Object:
        pods = space.pods_of()
        statuses = pods[0]["status"].get("containerStatuses") if pods else None
        found = dict(statuses[0]["state"].get("waiting") or {}) if statuses else {}
        return found if found.get("reason") == reason else {}

    return eventually(look, f"the container waits: {reason}")


def test_a_pod_runs_and_completes_its_job(space: Space, kubelet: Kubelet) -> None:
    _job(space, "print('hello')")
    eventually(lambda: space.condition("Complete"), "it is complete")
    pod = space.pods_of()[0]
    assert pod["status"]["phase"] == "Succeeded" and pod["spec"]["nodeName"]
    state = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (state["exitCode"], state["reason"]) == (0, "Completed")
    assert kubelet.log(pod) == "hello\n"


def test_a_pod_that_fails_fails_its_job(space: Space, kubelet: Kubelet) -> None:
    _job(space, "raise SystemExit(3)")
    terminated = _terminated(space)
    assert (terminated["exitCode"], terminated["reason"]) == (3, "Error")
    assert eventually(lambda: space.condition("Failed"), "it has failed")["reason"] == "BackoffLimitExceeded"


def test_who_is_killed_was_out_of_memory(space: Space, kubelet: Kubelet) -> None:
    _job(space, "import os; os.kill(os.getpid(), 9)")
    terminated = _terminated(space)
    assert (terminated["exitCode"], terminated["reason"]) == (137, "OOMKilled")


def test_a_command_that_is_not_there_cannot_start(space: Space, kubelet: Kubelet) -> None:
    _job(space, "", command=["/no/such/program"], args=[])
    terminated = _terminated(space)
    assert (terminated["exitCode"], terminated["reason"]) == (128, "StartError")


CHECK = """
import os
assert open(os.environ["PROMPT_FILE"]).read() == "do it"
assert os.environ["SELF"] == "run" and os.environ["COLOUR"] == "blue" and os.environ["BOTH"] == "run is blue"
assert os.path.isdir(os.environ["SCRATCH"]) and not os.listdir(os.environ["SCRATCH"])
assert "PYTEST_CURRENT_TEST" not in os.environ
"""


def test_a_container_finds_its_files_and_its_environment(space: Space, kubelet: Kubelet) -> None:
    space.secret()
    job_name = {"fieldRef": {"fieldPath": "metadata.labels['job-name']"}}
    env = [
        {"name": "PROMPT_FILE", "value": "/var/run/task/PROMPT"},
        {"name": "SELF", "valueFrom": job_name},
        {"name": "COLOUR", "value": "blue"},
        {"name": "BOTH", "value": "$(SELF) is $(COLOUR)"},
        {"name": "SCRATCH", "value": "/scratch"},
    ]
    mounts = [{"name": "task", "mountPath": "/var/run/task"}, {"name": "scratch", "mountPath": "/scratch"}]
    volumes = [{"name": "task", "secret": {"secretName": "note"}}, {"name": "scratch", "emptyDir": {}}]
    _job(space, CHECK, env=env, volumeMounts=mounts, volumes=volumes)
    assert _terminated(space)["exitCode"] == 0, kubelet.log(space.pods_of()[0])


def test_a_pod_waits_for_its_secret(space: Space, kubelet: Kubelet) -> None:
    mounts, volumes = [{"name": "task", "mountPath": "/task"}], [{"name": "task", "secret": {"secretName": "note"}}]
    _job(space, "", volumeMounts=mounts, volumes=volumes)
    assert 'secret "note" not found' in _waiting(space, "ContainerCreating")["message"]
    assert space.pods_of()[0]["status"]["phase"] == "Pending"
    space.secret()
    assert _terminated(space)["exitCode"] == 0


def test_an_image_that_is_missing_is_told_and_tried_again(space: Space, kubelet: Kubelet) -> None:
    _job(space, "", image="missing.invalid/agent:1")
    assert "missing.invalid/agent:1" in _waiting(space, "ImagePullBackOff")["message"]
    assert space.status()["active"] == 1


ENDS_WHEN_ASKED = """
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(os.write(1, b"asked\\n") * 0))
print("up", flush=True)
time.sleep(600)
"""


def test_a_pod_that_is_deleted_is_asked_to_end(space: Space, kubelet: Kubelet) -> None:
    _job(space, ENDS_WHEN_ASKED)
    pod = space.pod_of()
    eventually(lambda: kubelet.log(pod) == "up\n", "it runs")
    space.api.delete(f"{space.jobs}/run", {"propagationPolicy": "Foreground"})
    space.gone(f"{space.jobs}/run")
    assert kubelet.log(pod) == "up\nasked\n", "it was not killed before it could end"
    assert space.pods_of() == []


def test_a_pod_that_will_not_end_is_killed(space: Space, kubelet: Kubelet) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    _job(space, stubborn, terminationGracePeriodSeconds=1)
    pod = space.pod_of()
    eventually(lambda: kubelet.log(pod) == "up\n", "it runs")
    space.api.delete(f"{space.pods}/{pod['metadata']['name']}")
    assert eventually(lambda: space.condition("Failed"), "it has failed")
    eventually(lambda: space.pods_of() == [], "no pod is left")


def test_a_job_past_its_deadline_is_ended(space: Space, kubelet: Kubelet) -> None:
    container = {"name": "agent", "image": "a:1", "command": [sys.executable, "-c", "import time; time.sleep(60)"]}
    space.job(template={"spec": {"restartPolicy": "Never", "containers": [container]}}, activeDeadlineSeconds=1)
    assert eventually(lambda: space.condition("Failed"), "it has failed")["reason"] == "DeadlineExceeded"
    assert space.pods_of() == []


def test_nothing_outlives_the_node(space: Space, tmp_path: Path) -> None:
    code = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], "
    code += "start_new_session=True); print('up', flush=True); time.sleep(60)"
    with Kubelet(space.api, space.namespace, tmp_path / "node") as kubelet:
        _job(space, code)
        pod = space.pod_of()
        kubelet.tick()
        eventually(lambda: kubelet.log(pod) == "up\n", "it runs")
    mark = str(tmp_path / "node")
    assert [process for process in psutil.process_iter(["environ"]) if mark in str(process.info["environ"])] == []
