"""A cluster as its users see it: found by whoever has its description, in the process that started it or another."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from shared.local.watchdog import TWIN_ID
from tests.knative.cluster.enclosure import inside
from tests.knative.cluster.settings import SOCKET

DESCRIPTION = "FACTEUR_TEST_NODE"
_COMMAND_SECONDS = 600.0


class CommandFailed(Exception):
    """A command that was to succeed did not; says what it wrote."""


@dataclass(frozen=True, slots=True)
class Node:
    """One running node and its API server. Texts, so that it can be written down; `folder` holds its logs.

    `host_address` is this machine's, as pods reach it; `dns_address` answers for `cluster.local`. Addresses of pods
    and Services are reached from this machine as they are.
    """

    folder: str
    url: str
    kubeconfig: str
    credentials: str
    host_address: str
    dns_address: str
    pods: str
    services: str
    kubectl_program: str
    packages: str
    root: str
    holder: int
    twin_id: str

    @classmethod
    def from_environment(cls) -> Self:
        """The node whose description the environment names."""
        return cls(**json.loads(Path(os.environ[DESCRIPTION]).read_text("utf-8")))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1), "utf-8")

    @property
    def base(self) -> Sequence[Path]:
        """The layers of an image with Python 3.11 and certificates, to put others on."""
        return [Path(self.root)]

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """What kubectl wrote; `given` is its standard input. Raises CommandFailed."""
        return _output([self.kubectl_program, f"--kubeconfig={self.kubeconfig}", *arguments], given=given)

    def import_image(self, tar: Path) -> None:
        """Let pods use the image of an OCI tar; a pull policy other than Always finds it by its name."""
        ctr = f"{self.packages}/usr/bin/ctr"
        _output(inside(self.holder, [ctr, f"--address={SOCKET}", "--namespace=k8s.io", "images", "import", str(tar)]))

    def service_url(self, namespace: str, name: str, port: int | None = None) -> str:
        """The URL of a Service with an address of its own, for processes of this machine; its first port if none."""
        spec = json.loads(self.kubectl("get", "service", name, f"--namespace={namespace}", "--output=json"))["spec"]
        return f"http://{spec['clusterIP']}:{port or spec['ports'][0]['port']}"

    def logs(self, folder: Path) -> None:
        """Copy what the programs and the pods wrote, with all pods and events, into this folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for log in [*Path(self.folder).glob("*.log"), *Path(self.folder).glob("control-plane/*.log")]:
            shutil.copy(log, folder)
        shutil.copytree(Path(self.folder) / "var-log" / "pods", folder / "pods", dirs_exist_ok=True)
        for kind in ("events", "pods"):
            listed = self.kubectl("get", kind, "--all-namespaces", "--output=wide")
            (folder / f"{kind}.txt").write_text(listed, "utf-8")

    @property
    def environment(self) -> Mapping[str, str]:
        """What tests need to know; `from_environment` finds this node again by it. A process with it ends with it."""
        return {
            DESCRIPTION: f"{self.folder}/node.json",
            "FACTEUR_TEST_HOST_ADDRESS": self.host_address,
            "FACTEUR_TEST_API_URL": self.url,
            "FACTEUR_TEST_CREDENTIALS": self.credentials,
            TWIN_ID: self.twin_id,
        }


def _output(command: Sequence[str], given: str | None = None) -> str:
    answer = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=_COMMAND_SECONDS)
    if answer.returncode:
        raise CommandFailed(f"`{' '.join(command)}` failed: {answer.stderr.strip() or answer.stdout.strip()}")
    return answer.stdout
