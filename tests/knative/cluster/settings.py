"""The configuration files of a node's programs."""

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.knative.cluster.network import Network

NODE = "node"
DOMAIN = "cluster.local"
SOCKET = "/run/containerd/containerd.sock"  # below the node's own /run
DNS_READY_PORT, PROXY_HEALTH_PORT, KUBELET_HEALTH_PORT = 8181, 10256, 10248
_BRIDGE = "cni0"

_CONTAINERD = """version = 2
root = "{folder}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]

[grpc]
address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# Without CAP_SYS_RESOURCE no process may be made less likely to be killed than this one.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{packages}/usr/lib/cni"
conf_dir = "{folder}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "{packages}/usr/sbin/runc"
"""

_COREFILE = """{domain} in-addr.arpa {{
    bind {address}
    errors
    ready {address}:{ready}
    kubernetes {domain} in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 1
    }}
}}
. {{
    bind {address}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """Written into a folder by `write`."""

    folder: Path
    network: Network
    cgroup: str
    authority: Path
    kubelet_kubeconfig: Path
    proxy_kubeconfig: Path
    dns_kubeconfig: Path
    packages: Path
    pause: str

    @property
    def containerd(self) -> Path:
        return self.folder / "containerd.toml"

    @property
    def kubelet(self) -> Path:
        return self.folder / "kubelet.yaml"

    @property
    def proxy(self) -> Path:
        return self.folder / "kube-proxy.yaml"

    @property
    def dns(self) -> Path:
        return self.folder / "Corefile"

    def write(self) -> None:
        names = {"folder": self.folder, "packages": self.packages, "socket": SOCKET, "pause": self.pause}
        self.containerd.write_text(_CONTAINERD.format(**names), "utf-8")
        (self.folder / "cni").mkdir()
        (self.folder / "cni" / "pods.conflist").write_text(json.dumps(self._pod_network()), "utf-8")
        (self.folder / "resolv.conf").write_text("", "utf-8")
        self.kubelet.write_text(yaml.safe_dump(self._kubelet()), "utf-8")
        self.proxy.write_text(yaml.safe_dump(self._proxy()), "utf-8")
        address, kubeconfig = self.network.node, self.dns_kubeconfig
        text = _COREFILE.format(domain=DOMAIN, address=address, ready=DNS_READY_PORT, kubeconfig=kubeconfig)
        self.dns.write_text(text, "utf-8")

    def _pod_network(self) -> dict[str, object]:
        """A bridge: a pod reaches every other one, and NetworkPolicies are not enforced."""
        addresses = {
            "type": "host-local",
            "dataDir": "/run/pod-addresses",
            "ranges": [[{"subnet": self.network.pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {"type": "bridge", "bridge": _BRIDGE, "isGateway": True, "hairpinMode": True, "ipam": addresses}
        return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}

    def _kubelet(self) -> dict[str, object]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.network.node,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(self.authority)},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.cgroup,
            "clusterDNS": [self.network.node],
            "clusterDomain": DOMAIN,
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            # The disk is that of this machine, whose owner decides what is too full.
            "evictionHard": {"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
            "imageGCHighThresholdPercent": 100,
            "failCgroupV1": False,
            "failSwapOn": False,
            "healthzBindAddress": self.network.node,
            "healthzPort": KUBELET_HEALTH_PORT,
            "maxPods": 250,
            "oomScoreAdj": 0,
            "resolvConf": str(self.folder / "resolv.conf"),
            "volumePluginDir": str(self.folder / "plugins"),
        }

    def _proxy(self) -> dict[str, object]:
        # How many connections are followed is a setting of the whole machine.
        untouched = {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self.proxy_kubeconfig)},
            "clusterCIDR": self.network.pods,
            "conntrack": untouched,
            "healthzBindAddress": f"{self.network.node}:{PROXY_HEALTH_PORT}",
            "hostnameOverride": NODE,
            "mode": "nftables",
        }
