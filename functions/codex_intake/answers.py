"""What intake answers, in the words that producers rely on."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from functions.codex_intake.settings import Settings
from shared.domain.ids import resource_name
from shared.domain.task import Accepted
from shared.domain.token import mint_task_token

FIRST_ATTEMPT = 1


def delivered(accepted: Accepted) -> dict[str, Any]:
    """The answer to a protobuf delivery: the earlier system's keys, then the ids."""
    return {
        "stage": accepted.stage,
        "namespace": "default",
        "workflowName": resource_name(accepted.run_id, FIRST_ATTEMPT),
        "submittedAt": _seconds(accepted.accepted_at),
        "duplicate": accepted.duplicate,
        "ideaId": str(accepted.idea_id),
        "taskId": str(accepted.task_id),
        "taskRunId": str(accepted.run_id),
    }


def submitted(accepted: Accepted, settings: Settings) -> dict[str, Any]:
    """The answer to `POST /v1/codex/tasks`: the same bytes for every replay."""
    task = f"/v1/codex/tasks/{accepted.run_id}"
    token = mint_task_token(settings.token_secret, accepted.run_id, FIRST_ATTEMPT)
    return {
        "taskId": str(accepted.run_id),
        "status": "accepted",
        "callback": {"url": f"{settings.callback_url}{task}/events", "token": token},
        "memoryEndpoint": {"url": f"{settings.memory_url}{task}/memory"},
        "links": {"self": task, "timeline": f"{task}/timeline"},
        "duplicate": False,
    }


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its times as RFC 3339 in UTC."""
    return {key: _time(value) if isinstance(value, datetime) else value for key, value in row.items()}


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
