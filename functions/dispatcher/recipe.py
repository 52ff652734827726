"""What every container gets: its name, environment and files, whatever runs it."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.ids import resource_name
from shared.domain.job import Job
from shared.domain.task import Mode, Run
from shared.domain.task_token import mint_task_token

_NO_COMMAND: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of all jobs; `image` and `service_account` are for a task whose metadata names no other.

    While `launching` is off nothing is launched: runs wait as they are.
    """

    token_secret: str
    callback_url: str
    memory_url: str
    command: Sequence[str] = _NO_COMMAND
    image: str = ""
    service_account: str = ""
    memories: int = 5
    memory_tokens: int = 1500
    holdout_share: float = 0.0
    launching: bool = True

    def image_of(self, run: Run) -> str:
        """The image that the policy is to judge; "" where a template names it."""
        return _asked(run, "image") or self.image if run.mode == Mode.DIRECT else ""

    def service_account_of(self, run: Run) -> str:
        """As whom the run's pod is to run; "" for whom its template names."""
        if run.mode == Mode.DIRECT:
            return _asked(run, "serviceAccount") or self.service_account
        return str(run.orchestration.get("serviceAccount", ""))

    def token_of(self, run: Run) -> str:
        """The task token of the attempt."""
        return mint_task_token(self.token_secret, run.id, run.attempt)

    def job(self, run: Run, prompt: str, event: Mapping[str, Any] | None, now: datetime) -> Job:
        """The job of a run; `event` is the delivery that a Workflow is told of."""
        task = f"/v1/codex/tasks/{run.id}"
        deadline = now.astimezone(UTC) + timedelta(seconds=run.deadline_seconds)
        return Job(
            name=name_of(run),
            task_id=str(run.id),
            attempt=run.attempt,
            deadline_seconds=run.deadline_seconds,
            command=tuple(self.command),
            env={
                "CODEX_TASK_ID": str(run.id),
                "CODEX_ATTEMPT": str(run.attempt),
                "CODEX_CALLBACK_URL": f"{self.callback_url}{task}",
                "CODEX_MEMORY_ENDPOINT": f"{self.memory_url}{task}/memory",
                "CODEX_DEADLINE": deadline.strftime("%Y-%m-%dT%H:%M:%SZ"),
                **({"TRACEPARENT": run.traceparent} if run.traceparent else {}),
            },
            files={"CODEX_PROMPT_FILE": prompt, "CODEX_CALLBACK_TOKEN_FILE": self.token_of(run)},
            namespace=run.namespace,
            image=self.image_of(run),
            service_account=self.service_account_of(run),
            **(_workflow(run, event or _event(run)) if run.mode == Mode.ARGO else {}),
        )


def name_of(run: Run) -> str:
    """The name of the run's Job or Workflow: it follows from task and attempt."""
    return resource_name(run.id, run.attempt, run.orchestration.get("namePrefix", "codex-"))


def _asked(run: Run, name: str) -> str:
    asked = run.metadata.get(name, "")
    return asked if isinstance(asked, str) else ""


def _workflow(run: Run, event: Mapping[str, Any]) -> dict[str, Any]:
    """Template, parameters, labels and annotations, as the earlier system sent them."""
    given = run.orchestration.get("parameters", {})
    issue = str(given.get("issue_number", "0"))
    noted = {"repository": run.repository, "issue_number": issue, "head": run.head, "base": run.base}
    raw = {**event, "stage": "_".join(("CODEX", "TASK", "STAGE", run.stage.upper()))}
    return {
        "template": str(run.orchestration.get("workflowTemplate", "")),
        "parameters": {
            **given,
            "prompt": run.prompt,
            "rawEvent": _base64(raw),
            "eventBody": _base64({**event, "stage": run.stage}),
        },
        "labels": {"codex.issue_number": issue} if issue != "0" else {},
        "annotations": {
            f"codex.{name}": text
            for name, text in noted.items()
            if text.strip() and (name, text) != ("issue_number", "0")
        },
    }


def _event(run: Run) -> dict[str, Any]:
    """A task that came as JSON, in the form that the earlier system gave to Workflows."""
    return {
        "prompt": run.prompt,
        "repository": run.repository,
        "base": run.base,
        "head": run.head,
        "issueNumber": str(run.orchestration.get("parameters", {}).get("issue_number", "0")),
        "deliveryId": str(run.id),
        "metadata": run.metadata,
    }


def _base64(value: Mapping[str, Any]) -> str:
    return b64encode(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).decode()
