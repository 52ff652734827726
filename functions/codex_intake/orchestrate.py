"""What the orchestrator's switches make of a task: its mode, and the template and parameters of a Workflow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.domain.errors import Unavailable
from shared.domain.task import Mode

MAX_ITERATIONS = 25


@dataclass(frozen=True, slots=True)
class Switches:
    """The orchestrator's settings.

    `enabled` says what becomes of deliveries of the earlier system: True an Argo Workflow, None (not
    said) a job, False they are refused. While `launching` is off everything is stored all the same.
    """

    enabled: bool | None = None
    launching: bool = True
    namespace: str = "argo-workflows"
    workflow_template: str = "github-codex-implementation"
    service_account: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    autonomous_workflow_template: str = "codex-autonomous"
    autonomous_generate_name_prefix: str = "codex-autonomous-"
    judge_prompt: str = ""

    def mode(self) -> Mode:
        """The mode of a delivery; Unavailable if there are to be none."""
        if self.enabled is False and self.launching:
            raise Unavailable("implementation orchestrator disabled", retry_after=60)
        return Mode.ARGO if self.enabled else Mode.DIRECT

    def workflow(
        self,
        repository: str,
        issue_number: int,
        base: str,
        head: str,
        *,
        autonomous: bool = False,
        repeat: int = 1,
        cycle: int = 1,
    ) -> dict[str, Any]:
        """Where the Workflow of a task runs, and with what. Prompt and events are added at the launch."""
        template, prefix = self.workflow_template, "github-codex-implementation-"
        if autonomous:
            template, prefix = self.autonomous_workflow_template, self.autonomous_generate_name_prefix
        judge = {"judge_prompt": self.judge_prompt} if self.judge_prompt else {}
        task = {
            "head": head,
            "base": base or "main",
            "repository": repository,
            "issue_number": str(issue_number),
            "implementation_iterations": str(repeat),
            "iteration_cycle": str(cycle),
        }
        return {
            "namespace": self.namespace,
            "workflowTemplate": template,
            "namePrefix": prefix,
            "serviceAccount": self.service_account,
            "autonomous": autonomous,
            "parameters": {**self.parameters, **judge, **task},
        }


def iterations(mode: str, count: int | None, most: int | None) -> int:
    """How often the implementation is to be repeated: 1 to 25, by the rules of the earlier system."""
    chosen = {"": count, "fixed": count, "until": most if most is not None else count}.get(mode.strip().lower())
    return min(max(chosen or 1, 1), MAX_ITERATIONS)
