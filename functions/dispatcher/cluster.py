"""The doors of a dispatcher that launches in a cluster. Importing it costs the Kubernetes client."""

from collections.abc import Mapping

from functions.dispatcher.settings import Settings
from shared.domain.task import Mode
from shared.kubernetes.api_server import Access, ApiServer
from shared.kubernetes.jobs import PodSettings, kubernetes_jobs
from shared.kubernetes.launcher import ClusterJobs
from shared.kubernetes.targets import ClusterTargets
from shared.kubernetes.workflows import argo_workflows


def connect(settings: Settings) -> tuple[Mapping[Mode, ClusterJobs], ClusterTargets]:
    """Jobs by mode, and what reads targets; nothing connects yet."""
    cluster, runner = settings.cluster, settings.runner
    server = ApiServer(
        Access(cluster.api_url, cluster.credentials, cluster.timeout_seconds, cluster.qps, cluster.burst)
    )
    pods = PodSettings(runner.image, runner.service_account, runner.resources, runner.kept_seconds)
    doors = {
        Mode.DIRECT: kubernetes_jobs(server, pods, runner.namespace),
        Mode.ARGO: argo_workflows(server, runner.argo_namespace, runner.kept_seconds),
    }
    return doors, ClusterTargets(server)
