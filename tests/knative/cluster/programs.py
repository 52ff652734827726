"""The programs of a node: Kubernetes' own and two small ones, built once from Go modules."""

from pathlib import Path

from tests.cluster.binaries import version_stamp
from tests.cluster.go_modules import CACHE, Say, alone, build, digest

_KUBERNETES = Path(__file__).parent / "programs"
_EXTRAS = Path(__file__).parent / "extras"
_POLICIES = Path(__file__).parent / "policies"
KUBELET, PROXY, SCHEDULER, DNS, PAUSE = "kubelet", "kube-proxy", "kube-scheduler", "coredns", "pause"
POLICIES = "kube-router"


def kubernetes(say: Say) -> Path:
    """The folder with kubelet, kube-proxy and kube-scheduler."""
    packages = {name: f"k8s.io/kubernetes/cmd/{name}" for name in (KUBELET, PROXY, SCHEDULER)}
    return _built("node", packages, _KUBERNETES, say, version_stamp(_KUBERNETES))


def extras(say: Say) -> Path:
    """The folder with CoreDNS and with what keeps the namespaces of a pod."""
    packages = {name: f"./{name}" for name in (DNS, PAUSE)}
    return _built("node-extras", packages, _EXTRAS, say, "")


def policies(say: Say) -> Path:
    """The program that enforces NetworkPolicies; only what asks for that needs it."""
    packages = {POLICIES: "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"}
    return _built("node-policies", packages, _POLICIES, say, "") / POLICIES


def _built(kind: str, packages: dict[str, str], module: Path, say: Say, stamp: str) -> Path:
    sources = "".join(path.read_text("utf-8") for path in sorted(module.glob("*/*.go")))
    target = CACHE / f"{kind}-{digest(module, sources)}"
    if not target.exists():
        with alone(say):
            if not target.exists():
                say(f"building {', '.join(packages)}, once; without Go's build cache it takes some minutes")
                build(target, packages, module, say, stamp)
    return target
