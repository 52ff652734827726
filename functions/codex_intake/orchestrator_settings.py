"""How an implementation task becomes an Argo Workflow, as the earlier system was configured."""

import re
from dataclasses import dataclass

from shared.setting_values import dns_label, dns_name, switch, text_map
from shared.settings import env

Parameters = tuple[tuple[str, str], ...]


def _name_prefix(raw: str) -> str:
    if not re.fullmatch(r"[a-z0-9][-a-z0-9]{0,39}", raw):
        raise ValueError("must begin a DNS name: at most 40 of a-z, 0-9 and '-', and no '-' in front")
    return raw


@dataclass(frozen=True, kw_only=True)
class OrchestratorSettings:
    """What is not set for the orchestrator alone (`own_…`) is what `argo.…` says.

    `enabled` is None where nothing was said.
    """

    enabled: bool | None = env(
        "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_ENABLED",
        switch,
        default=None,
        alias="FACTEUR_CODEX_ENABLE_IMPLEMENTATION_ORCHESTRATION",
    )
    own_namespace: str | None = env("FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_NAMESPACE", dns_label, default=None)
    own_workflow_template: str | None = env(
        "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_WORKFLOW_TEMPLATE", dns_name, default=None
    )
    own_service_account: str | None = env(
        "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_SERVICE_ACCOUNT", dns_name, default=None
    )
    own_parameters: Parameters = env("FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_PARAMETERS", text_map, default=())
    argo_namespace: str = env("FACTEUR_ARGO_NAMESPACE", dns_label, default="argo-workflows")
    argo_workflow_template: str = env("FACTEUR_ARGO_WORKFLOW_TEMPLATE", dns_name, default="github-codex-implementation")
    argo_service_account: str = env("FACTEUR_ARGO_SERVICE_ACCOUNT", dns_name, default="")
    argo_parameters: Parameters = env("FACTEUR_ARGO_PARAMETERS", text_map, default=())
    autonomous_workflow_template: str = env(
        "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_AUTONOMOUS_WORKFLOW_TEMPLATE", dns_name, default="codex-autonomous"
    )
    autonomous_generate_name_prefix: str = env(
        "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_AUTONOMOUS_GENERATE_NAME_PREFIX",
        _name_prefix,
        default="codex-autonomous-",
    )
    judge_prompt: str = env("FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_JUDGE_PROMPT", default="")

    @property
    def namespace(self) -> str:
        return self.own_namespace or self.argo_namespace

    @property
    def workflow_template(self) -> str:
        return self.own_workflow_template or self.argo_workflow_template

    @property
    def service_account(self) -> str:
        """Empty: the workflow runs as its template says."""
        return self.own_service_account or self.argo_service_account

    @property
    def parameters(self) -> dict[str, str]:
        """Those of `argo.parameters`, overlaid by the orchestrator's own."""
        return dict(self.argo_parameters) | dict(self.own_parameters)
