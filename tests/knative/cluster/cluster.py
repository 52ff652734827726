"""A real cluster of one node: a control plane of this machine, and a node with a network of its own."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import Any
from uuid import uuid4

import urllib3

from shared.local.state import CannotStart
from shared.local.supervisor import Child, Supervisor
from tests.cluster.api import Api
from tests.cluster.binaries import programs as control_plane
from tests.cluster.control_plane import ControlPlane, Nodes, say
from tests.cluster.go_modules import Say
from tests.images.oci import ImageConfig, write_image
from tests.knative.cluster import debian, preflight, programs
from tests.knative.cluster.cleaner import Cleaner
from tests.knative.cluster.enclosure import Enclosure
from tests.knative.cluster.network import connect
from tests.knative.cluster.node import Node
from tests.knative.cluster.settings import (
    DNS_READY_PORT,
    KUBELET_HEALTH_PORT,
    NODE,
    PROXY_HEALTH_PORT,
    SOCKET,
    NodeFiles,
)

CONTAINERD = "containerd"
PAUSE = "img.invalid/pause:1"
_USERS = {
    programs.SCHEDULER: ("system:kube-scheduler", ""),
    programs.PROXY: ("system:kube-proxy", ""),
    programs.KUBELET: (f"system:node:{NODE}", "system:nodes"),
}
_HTTP = urllib3.PoolManager(retries=False, timeout=2)
_READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Parts:
    """The folders of what a node is made of."""

    packages: Path
    root: Path
    kubernetes: Path
    extras: Path


def obtain(said: Say) -> Parts:
    """Find, download or build everything. Raises Unsuited before that where no node can run."""
    preflight.check()
    if not (found := control_plane(said) / "kubectl").exists():
        raise CannotStart(f"{found} is not there: put it beside the other programs, or unset KUBEBUILDER_ASSETS.")
    return Parts(debian.packages(said), debian.python_root(said), programs.kubernetes(said), programs.extras(said))


class Cluster:
    """Runs inside a `with`, which gives the `Node`; nothing of it outlives this process, however that ends.

    `folder` is a new one that keeps the logs; without it a temporary one is made, and removed.
    """

    def __init__(self, folder: Path | None = None, said: Say = say) -> None:
        self._id = uuid4().hex
        # Also that of an interface, which may have 15 characters.
        self._name = f"facteur-{self._id[:7]}"
        self._given = folder
        self._said = said
        self._ends = contextlib.ExitStack()

    def __enter__(self) -> Node:
        self._parts = obtain(self._said)
        try:
            return self._start()
        except BaseException:
            self._ends.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

    def _start(self) -> Node:
        started = time.monotonic()
        folder = self._given.absolute() if self._given else Path(tempfile.mkdtemp(prefix=f"{self._name}-"))
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise CannotStart(f"{folder} is not empty: name a new folder.")
        self._ends.callback(Cleaner(self._id, self._name, None if self._given else folder).finish)
        supervisor = self._supervisor = Supervisor(self._id, folder, self._said)
        self._ends.callback(supervisor.stop)
        self._enclosure = Enclosure(self._name, folder)
        self._enclosure.open(supervisor)
        self._network = connect(self._name, self._enclosure.pid)
        nodes = Nodes(self._network.host, self._network.services, _USERS)
        control = self._ends.enter_context(ControlPlane(folder / "control-plane", self._said, nodes))
        files, node = self._files(control), self._node(control)
        files.write()
        node.write(folder / "node.json")
        self._run_all(control, files, node)
        self._await_ready(Api(control.url, control.credentials))
        self._said(f"the node ready after {time.monotonic() - started:.1f} s")
        return node

    def _files(self, control: ControlPlane) -> NodeFiles:
        known = control.certificates
        return NodeFiles(
            folder=self._folder,
            network=self._network,
            cgroup=self._enclosure.cgroup,
            authority=known.certificate,
            kubelet_kubeconfig=known.kubeconfig_of(programs.KUBELET),
            proxy_kubeconfig=known.kubeconfig_of(programs.PROXY),
            dns_kubeconfig=known.kubeconfig,
            packages=self._parts.packages,
            pause=PAUSE,
        )

    def _run_all(self, control: ControlPlane, files: NodeFiles, node: Node) -> None:
        """Start everything that makes pods run."""
        known, address = control.certificates, self._network.node
        scheduler = [str(self._parts.kubernetes / programs.SCHEDULER), "--leader-elect=false", "--secure-port=0"]
        scheduler += [f"--kubeconfig={known.kubeconfig_of(programs.SCHEDULER)}"]
        self._supervise(programs.SCHEDULER, scheduler, lambda: True)
        # As somebody outside sees the node's own /run.
        socket = Path(f"/proc/{self._enclosure.pid}/root{SOCKET}")
        self._inside(
            CONTAINERD, self._parts.packages / "usr/bin/containerd", [f"--config={files.containerd}"], socket.exists
        )
        self._import_pause(node)
        kubelet = [f"--config={files.kubelet}", f"--kubeconfig={files.kubelet_kubeconfig}", f"--node-ip={address}"]
        kubelet += [f"--hostname-override={NODE}", f"--root-dir={self._folder / 'kubelet'}"]
        health = f"http://{address}:{KUBELET_HEALTH_PORT}/healthz"
        self._inside(programs.KUBELET, self._parts.kubernetes / programs.KUBELET, kubelet, lambda: _answers(health))
        proxy = [f"--config={files.proxy}"]
        proxying = f"http://{address}:{PROXY_HEALTH_PORT}/healthz"
        self._inside(programs.PROXY, self._parts.kubernetes / programs.PROXY, proxy, lambda: _answers(proxying))
        resolving = f"http://{address}:{DNS_READY_PORT}/ready"
        self._inside(
            programs.DNS, self._parts.extras / programs.DNS, [f"-conf={files.dns}"], lambda: _answers(resolving)
        )

    def _inside(self, name: str, program: Path, arguments: list[str], ready: Callable[[], bool]) -> None:
        self._supervise(name, self._enclosure.inside([str(program), *arguments]), ready)
        self._supervisor.wait(name)

    def _supervise(self, name: str, command: list[str], ready: Callable[[], bool]) -> None:
        paths = {
            "PATH": debian.path_of(self._parts.packages),
            "LD_LIBRARY_PATH": debian.libraries_of(self._parts.packages),
        }
        # Nothing is kept that a slow end could save.
        self._supervisor.start(Child(name, command, paths, ready, stage=1, stop_signal=SIGKILL))

    def _import_pause(self, node: Node) -> None:
        layer, tar = self._folder / "pause", self._folder / "pause.tar"
        layer.mkdir()
        shutil.copy(self._parts.extras / programs.PAUSE, layer / programs.PAUSE)
        write_image(tar, PAUSE, [layer], ImageConfig(entrypoint=[f"/{programs.PAUSE}"]))
        node.import_image(tar)

    def _node(self, control: ControlPlane) -> Node:
        return Node(
            folder=str(self._folder),
            url=control.url,
            kubeconfig=str(control.kubeconfig),
            credentials=str(control.credentials),
            host_address=self._network.host,
            dns_address=self._network.node,
            pods=self._network.pods,
            services=self._network.services,
            kubectl_program=str(control.kubectl),
            packages=str(self._parts.packages),
            root=str(self._parts.root),
            holder=self._enclosure.pid,
            twin_id=self._id,
        )

    def _await_ready(self, api: Api) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not _is_ready(api.get(f"/api/v1/nodes/{NODE}") or {}):
            if time.monotonic() > deadline:
                raise CannotStart(f"The node is not Ready after {_READY_SECONDS:.0f} s; its logs say why.")
            time.sleep(0.1)


def _is_ready(node: Mapping[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _answers(url: str) -> bool:
    with contextlib.suppress(urllib3.exceptions.HTTPError):
        return _HTTP.request("GET", url).status == 200
    return False
