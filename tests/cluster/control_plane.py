"""A real Kubernetes control plane on loopback: etcd, API server and controller-manager, without any node."""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import Self
from uuid import uuid4

import urllib3

from shared.local.state import free_port
from shared.local.supervisor import Child, Supervisor
from shared.local.watchdog import TWIN_ID
from tests.cluster.api import Api
from tests.cluster.binaries import CONTROLLER_MANAGER, crd_manifests, programs
from tests.cluster.certificates import CONTROLLER_MANAGER as CONTROLLERS_USER
from tests.cluster.certificates import Certificates
from tests.cluster.custom_resources import install
from tests.cluster.go_modules import Say

ETCD, API_SERVER = "etcd", "kube-apiserver"
_HTTP = urllib3.PoolManager(retries=False, timeout=2)
# Pods are played by tests, and no node ever says that it is alive.
_CONTROLLERS = "*,-node-lifecycle-controller,-pod-garbage-collector-controller"
# A program writes its own number and becomes the server: the file is never behind.
_NUMBERED = 'echo $$ > "$0.new" && mv "$0.new" "$0" && exec "$@"'


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Nodes:
    """That the cluster has nodes: from where they reach the API server, and by whom it is asked.

    `address` is one of this machine; `services` the range of the addresses of Services; `users` are those of
    `Certificates`.
    """

    address: str
    services: str
    users: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def api_service(self) -> str:
        """The address of the Service `kubernetes`: the first one."""
        return str(ip_network(self.services)[1])


class ControlPlane:
    """Serves inside a `with`; what dies is started again, and nothing outlives this process, however that ends.

    `folder` keeps state and logs from one start to the next; without it a temporary one is made, and removed.
    Without `nodes` it serves on loopback, and the kinds that facteur's manifests use.
    """

    def __init__(self, folder: Path | None = None, said: Say = say, nodes: Nodes | None = None) -> None:
        self._temporary = folder is None
        self.folder = folder.absolute() if folder else Path(tempfile.mkdtemp(prefix="facteur-control-plane-"))
        self._said = said
        self._id = uuid4().hex
        self._nodes = nodes
        addresses = (nodes.address, nodes.api_service) if nodes else ()
        self.certificates = Certificates(self.folder, addresses, nodes.users if nodes else {})
        self._etcd = f"http://127.0.0.1:{free_port()}"
        self._port = free_port()
        self._address = nodes.address if nodes else "127.0.0.1"
        self.url = f"https://{self._address}:{self._port}"
        self.credentials = self.certificates.admin
        self.kubeconfig = self.certificates.kubeconfig
        self.kubectl: Path | None = None
        self._supervisor: Supervisor | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """What tests need to know; a process with it ends with the control plane."""
        return {
            "FACTEUR_TEST_API_URL": self.url,
            "FACTEUR_TEST_CREDENTIALS": str(self.credentials),
            "FACTEUR_TEST_APISERVER_PID_FILE": str(self._pid_file(API_SERVER)),
            "FACTEUR_TEST_KUBECTL": str(self.kubectl or ""),
            TWIN_ID: self._id,
        }

    def pid(self, name: str) -> int:
        """The number of the process of `etcd`, `kube-apiserver` or `kube-controller-manager`, as of now."""
        return int(self._pid_file(name).read_text(encoding="ascii"))

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _start(self) -> None:
        found, manifests = programs(self._said), [] if self._nodes else crd_manifests(self._said)
        started = time.monotonic()
        self.kubectl = next((path for path in [found / "kubectl"] if path.exists()), None)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.certificates.make()
        self.certificates.write_kubeconfigs(self.url)
        api = Api(self.url, self.credentials)
        self._supervisor = Supervisor(self._id, self.folder, self._said)

        def ready(what: str) -> None:
            self._said(f"{what} ready after {time.monotonic() - started:.1f} s")

        self._run(ETCD, found, self._etcd_arguments(), lambda: _answers(f"{self._etcd}/health"))
        ready(ETCD)
        self._run(API_SERVER, found, self._api_server_arguments(), lambda: _is_ready(api))
        ready(API_SERVER)
        if manifests:
            # Before the controllers: the garbage collector looks for new kinds only twice a minute.
            install(api, manifests)
            ready(f"{len(manifests)} CRDs")
        self._run(CONTROLLER_MANAGER, found, self._controller_arguments(), lambda: _has_default_account(api))
        ready(CONTROLLER_MANAGER)

    def _run(self, name: str, found: Path, arguments: Sequence[str], ready: Callable[[], bool]) -> None:
        assert self._supervisor
        command = ["/bin/sh", "-c", _NUMBERED, str(self._pid_file(name)), str(found / name), *arguments]
        # Nothing is kept that a slow end could save.
        child = Child(name, command, {"PATH": os.environ.get("PATH", os.defpath)}, ready, stop_signal=SIGKILL)
        self._supervisor.start(child)
        self._supervisor.wait(name)

    def _stop(self) -> None:
        if self._supervisor:
            self._supervisor.stop()
            self._supervisor = None
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _pid_file(self, name: str) -> Path:
        return self.folder / f"{name}.pid"

    def _etcd_arguments(self) -> list[str]:
        return [
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={self._etcd}",
            f"--advertise-client-urls={self._etcd}",
            "--listen-peer-urls=http://127.0.0.1:0",
            "--log-level=warn",
            "--unsafe-no-fsync",
        ]

    def _api_server_arguments(self) -> list[str]:
        made = self.certificates
        return [
            f"--etcd-servers={self._etcd}",
            f"--bind-address={self._address}",
            f"--advertise-address={self._address}",
            f"--secure-port={self._port}",
            f"--tls-cert-file={made.certificate}",
            f"--tls-private-key-file={made.key}",
            f"--token-auth-file={made.tokens}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={made.service_accounts_key}",
            f"--service-account-signing-key-file={made.service_accounts_key}",
            *self._node_arguments(),
        ]

    def _node_arguments(self) -> list[str]:
        """What the API server is told of nodes."""
        if self._nodes is None:
            # Endpoints may not be loopback addresses, and nobody asks for this one.
            reachable = ["--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none"]
            return ["--authorization-mode=RBAC", *reachable]
        return [
            "--authorization-mode=Node,RBAC",
            f"--service-cluster-ip-range={self._nodes.services}",
            f"--kubelet-client-certificate={self.certificates.certificate}",
            f"--kubelet-client-key={self.certificates.key}",
            # The name of a node is nobody's in DNS.
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged=true",
        ]

    def _controller_arguments(self) -> list[str]:
        return [
            f"--kubeconfig={self.certificates.kubeconfig_of(CONTROLLERS_USER)}",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={self.certificates.service_accounts_key}",
            f"--root-ca-file={self.certificates.certificate}",
            f"--controllers={'*' if self._nodes else _CONTROLLERS}",
            # Made at the start where it does not exist: not among the machine's own.
            f"--flex-volume-plugin-dir={self.folder / 'plugins'}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]


def _answers(url: str) -> bool:
    with contextlib.suppress(urllib3.exceptions.HTTPError):
        return _HTTP.request("GET", url).status == 200
    return False


def _is_ready(api: Api) -> bool:
    with contextlib.suppress(urllib3.exceptions.HTTPError):
        return api.request("GET", "/readyz")[0] == 200
    return False


def _has_default_account(api: Api) -> bool:
    with contextlib.suppress(urllib3.exceptions.HTTPError):
        return api.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")[0] == 200
    return False
