"""The groups of dispatcher's settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.domain.task import Caps
from shared.setting_values import dns_label, dns_name, integer, json_value, text_list, tls_url
from shared.settings import env

_CREDENTIALS = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def _resources(raw: str) -> dict[str, Any]:
    value = json_value(raw)
    if not isinstance(value, dict) or not value.keys() <= {"requests", "limits"}:
        raise ValueError('must be a JSON object like {"requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}}')
    return value


@dataclass(frozen=True, kw_only=True)
class QueueSettings:
    """How many runs at a time; 0 is any number."""

    total: int = env("FACTEUR_MAX_RUNS", integer(0, 100_000), default=100)
    per_namespace: int = env("FACTEUR_MAX_RUNS_PER_NAMESPACE", integer(0, 100_000), default=0)
    per_caller: int = env("FACTEUR_MAX_RUNS_PER_CALLER", integer(0, 100_000), default=0)
    per_branch: int = env("FACTEUR_MAX_RUNS_PER_BRANCH", integer(0, 100_000), default=1)

    @property
    def caps(self) -> Caps:
        return Caps(self.total, self.per_namespace, self.per_caller, self.per_branch)


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """The API server, and how much it is asked of."""

    api_url: str = env("FACTEUR_KUBERNETES_API_URL", tls_url, default="https://kubernetes.default.svc")
    credentials: Path = env("FACTEUR_KUBERNETES_CREDENTIALS_DIR", Path, default=_CREDENTIALS)
    timeout_seconds: int = env("FACTEUR_KUBERNETES_TIMEOUT_SECONDS", integer(1, 60), default=10)
    qps: int = env("FACTEUR_KUBERNETES_QPS", integer(1, 10_000), default=50)
    burst: int = env("FACTEUR_KUBERNETES_BURST", integer(1, 10_000), default=100)


@dataclass(frozen=True, kw_only=True)
class RunnerSettings:
    """What runs tasks: pods of an image, or processes of this machine below a folder."""

    image: str = env("FACTEUR_RUNNER_IMAGE", default="")
    command: tuple[str, ...] = env("FACTEUR_RUNNER_COMMAND", text_list, default=())
    namespace: str = env("FACTEUR_JOBS_NAMESPACE", dns_label, default="codex")
    argo_namespace: str = env("FACTEUR_ARGO_NAMESPACE", dns_label, default="argo-workflows")
    service_account: str = env("FACTEUR_RUNNER_SERVICE_ACCOUNT", dns_name, default="codex-runner")
    secret: str = env("FACTEUR_RUNNER_SECRET", dns_name, default="")
    resources: dict[str, Any] | None = env("FACTEUR_RUNNER_RESOURCES", _resources, default=None)
    kept_seconds: int = env("FACTEUR_JOBS_KEPT_SECONDS", integer(0, 30 * 86_400), default=86_400)
    jobs_dir: Path | None = env("FACTEUR_JOBS_DIR", Path, default=None)

    def __post_init__(self) -> None:
        if self.jobs_dir is None and not self.image:
            raise ValueError(
                "FACTEUR_RUNNER_IMAGE must name the image of tasks (or FACTEUR_JOBS_DIR a folder, on a laptop)"
            )
