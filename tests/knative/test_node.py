"""What other tests rely on: pods run, find each other and this machine; nothing is left of a cluster."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address, ip_network
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
import urllib3

from shared.local.watchdog import TWIN_ID
from tests.knative.cluster.cluster import PAUSE
from tests.knative.cluster.node import Node
from tests.knative.cluster.pods import apply, import_python, pod
from tests.knative.cluster.preflight import CGROUPS
from tests.serving import serving

GREETING = "good day"
_FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=30).read().decode())"
_SERVED = f"mkdir /tmp/www && cd /tmp/www && echo '{GREETING}' > greeting && exec python3 -m http.server 8080"


@pytest.fixture(scope="module")
def python(cluster: Node, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Pods with Python can run."""
    import_python(cluster, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def namespace(cluster: Node, python: None) -> Iterator[str]:
    name = f"node-{uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def service(cluster: Node, namespace: str) -> str:
    """The name of a Service whose one pod serves a greeting."""
    labels = {"app": "greeting"}
    server = pod(["sh", "-c", _SERVED]) | {"restartPolicy": "Always"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "greeting"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": server}},
    }
    spec = {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}
    found = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "greeting"}, "spec": spec}
    apply(cluster, namespace, [deployment, found])
    cluster.kubectl("rollout", "status", "deployment/greeting", f"--namespace={namespace}", "--timeout=60s")
    return "greeting"


def test_the_node_is_ready_and_of_the_version_of_its_server(cluster: Node) -> None:
    (node,) = json.loads(cluster.kubectl("get", "nodes", "--output=json"))["items"]
    conditions = {condition["type"]: condition["status"] for condition in node["status"]["conditions"]}
    assert conditions["Ready"] == "True"
    server = json.loads(cluster.kubectl("version", "--output=json"))["serverVersion"]["gitVersion"]
    assert node["status"]["nodeInfo"]["kubeletVersion"] == server


def test_a_job_runs_python_as_a_restricted_pod_to_its_end(cluster: Node, namespace: str) -> None:
    said = _run(cluster, namespace, ["python3", "-c", "import os, sys; print(sys.version_info[:2], os.getuid())"])
    assert said == "(3, 11) 65532"


def test_what_fails_in_a_pod_fails_its_job(cluster: Node, namespace: str) -> None:
    name = _job(cluster, namespace, ["python3", "-c", "raise SystemExit(7)"])
    cluster.kubectl("wait", "--for=condition=Failed", f"job/{name}", f"--namespace={namespace}", "--timeout=60s")
    pods = json.loads(cluster.kubectl("get", "pods", "-l", f"job-name={name}", f"--namespace={namespace}", "-ojson"))
    (status,) = pods["items"][0]["status"]["containerStatuses"]
    assert status["state"]["terminated"]["exitCode"] == 7


@pytest.mark.parametrize("suffix", ["", ".{namespace}", ".{namespace}.svc.cluster.local"])
def test_a_pod_reaches_a_service_by_its_name(cluster: Node, namespace: str, service: str, suffix: str) -> None:
    url = f"http://{service}{suffix.format(namespace=namespace)}/greeting"
    assert _run(cluster, namespace, ["python3", "-c", _FETCH, url]) == GREETING


def test_a_pod_reaches_the_api_server_as_its_service_account(cluster: Node, namespace: str) -> None:
    code = """import ssl, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount"
headers = {"Authorization": "Bearer " + open(folder + "/token").read()}
asked = urllib.request.Request("https://kubernetes.default.svc/version", headers=headers)
tls = ssl.create_default_context(cafile=folder + "/ca.crt")
print(urllib.request.urlopen(asked, context=tls, timeout=30).status)"""
    assert _run(cluster, namespace, ["python3", "-c", code]) == "200"


def test_a_name_that_nobody_has_is_told_at_once(cluster: Node, namespace: str) -> None:
    code = (
        "import socket, sys\ntry: socket.getaddrinfo('nobody.example', 80)\nexcept socket.gaierror as e: print(e.errno)"
    )
    assert _run(cluster, namespace, ["python3", "-c", code]) == "-2"


def test_a_pod_reaches_a_process_of_this_machine(cluster: Node, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "greeting").write_text(GREETING)
    with _serving(cluster.host_address, tmp_path) as url:
        assert _run(cluster, namespace, ["python3", "-c", _FETCH, f"{url}/greeting"]) == GREETING


def test_a_process_of_this_machine_reaches_a_service(cluster: Node, namespace: str, service: str) -> None:
    url = cluster.service_url(namespace, service)
    assert ip_address(url.removeprefix("http://").partition(":")[0]) in ip_network(cluster.services)
    answer = urllib3.request("GET", f"{url}/greeting", timeout=10, retries=False)
    assert (answer.status, answer.data.decode().strip()) == (200, GREETING)


def test_logs_hold_what_pods_wrote(cluster: Node, namespace: str, tmp_path: Path) -> None:
    mark = uuid4().hex
    _run(cluster, namespace, ["echo", mark])
    cluster.logs(tmp_path / "logs")
    assert any(mark in path.read_text() for path in (tmp_path / "logs" / "pods").rglob("*.log"))
    assert (tmp_path / "logs" / "kubelet.log").stat().st_size


def test_nothing_is_left_of_a_cluster_whose_harness_is_killed(cluster: Node) -> None:
    """A second one beside the first, with a pod."""
    command = [sys.executable, "-m", "tests.knative", "serve"]
    others = {name: value for name, value in os.environ.items() if name != TWIN_ID}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=others) as harness:
        assert harness.stdout
        lines = [harness.stdout.readline() for _ in range(5)]
        node = Node(**json.loads(Path(lines[3].strip().partition("FACTEUR_TEST_NODE=")[2]).read_text()))
        assert node.host_address != cluster.host_address
        node.kubectl("run", "pod", f"--image={PAUSE}", "--image-pull-policy=Never")
        node.kubectl("wait", "--for=condition=Ready", "pod/pod", "--timeout=60s")
        processes = Path(f"/proc/{node.holder}/ns/pid").readlink()
        assert _left(node, processes)
        harness.send_signal(signal.SIGKILL)
    _await(lambda: not _left(node, processes), 45)


def _left(node: Node, namespace: Path) -> list[str]:
    """What there is of the cluster on this machine; `namespace` is that of the node's processes."""
    name = "-".join(Path(node.folder).name.split("-")[:2])
    places = [Path(node.folder), Path("/sys/class/net") / name, *CGROUPS.glob(f"*/{name}"), *CGROUPS.glob(name)]
    processes = [str(process) for process in psutil.process_iter() if _is_of(process, node.folder, namespace)]
    return [*(str(place) for place in places if place.exists()), *processes]


def _is_of(process: psutil.Process, folder: str, namespace: Path) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        return folder in " ".join(process.cmdline()) or Path(f"/proc/{process.pid}/ns/pid").readlink() == namespace
    return False


def _await(promise: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not promise():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.2)


def _run(cluster: Node, namespace: str, command: list[str]) -> str:
    """What the command wrote in a pod that succeeded."""
    name = _job(cluster, namespace, command)
    cluster.kubectl("wait", "--for=condition=Complete", f"job/{name}", f"--namespace={namespace}", "--timeout=60s")
    return cluster.kubectl("logs", f"job/{name}", f"--namespace={namespace}").strip()


def _job(cluster: Node, namespace: str, command: list[str]) -> str:
    name = f"job-{uuid4().hex[:8]}"
    spec = {"backoffLimit": 0, "template": {"spec": pod(command)}}
    apply(cluster, namespace, [{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}])
    return name


@contextmanager
def _serving(address: str, folder: Path) -> Iterator[str]:
    """The URL of a server of these files in this process."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with serving(ThreadingHTTPServer((address, 0), handler)) as url:
        yield url
