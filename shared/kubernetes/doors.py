"""The doors of whoever launches in a cluster. Importing this costs the Kubernetes client."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.task import Mode
from shared.kubernetes.api_server import Access, ApiServer
from shared.kubernetes.jobs import PodSettings, kubernetes_jobs
from shared.kubernetes.launcher import ClusterJobs
from shared.kubernetes.targets import ClusterTargets
from shared.kubernetes.workflows import argo_workflows


@dataclass(frozen=True, slots=True)
class Doors:
    """Jobs by mode, and what reads targets."""

    jobs: Mapping[Mode, ClusterJobs]
    targets: ClusterTargets


def connect(access: Access, pods: PodSettings, namespace: str, argo_namespace: str) -> Doors:
    """The doors to one cluster; nothing connects yet. The namespaces are those of jobs that name none."""
    server = ApiServer(access)
    jobs = {
        Mode.DIRECT: kubernetes_jobs(server, pods, namespace),
        Mode.ARGO: argo_workflows(server, argo_namespace, pods.kept_seconds),
    }
    return Doors(jobs, ClusterTargets(server))
