"""Enforces NetworkPolicies on a node for a while; without it they are accepted, and that is all."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.go_modules import Say
from tests.knative.cluster import debian, programs
from tests.knative.cluster.enclosure import inside
from tests.knative.cluster.node import Node
from tests.knative.cluster.settings import NODE

_HEALTH_PORT = 20244
_GRACE_SECONDS = 10.0
# Nobody else on the node makes rules by iptables: kube-proxy has tables of its own.
_RULES = ("iptables --flush", "iptables --delete-chain", "ipset destroy")


@contextmanager
def enforced(node: Node, log: Path, say: Say) -> Iterator[None]:
    """Policies hold inside a moment after it begins, and no more after it; `log` takes what the program writes."""
    arguments = ["--run-firewall", "--run-router=false", "--run-service-proxy=false", "--enable-ipv6=false"]
    arguments += [f"--kubeconfig={node.kubeconfig}", f"--hostname-override={NODE}", "--metrics-port=0"]
    arguments += [f"--service-cluster-ip-range={node.services}", f"--health-port={_HEALTH_PORT}"]
    packages = Path(node.packages)
    environment = {"PATH": debian.path_of(packages), "LD_LIBRARY_PATH": debian.libraries_of(packages)}
    environment |= {"XTABLES_LIBDIR": str(next(packages.glob("usr/lib/*-linux-gnu/xtables")))}
    command = inside(node.holder, [str(programs.policies(say)), *arguments])
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, env=environment) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(_GRACE_SECONDS)
            for rules in _RULES:
                subprocess.run(inside(node.holder, rules.split()), env=environment, check=True, capture_output=True)
