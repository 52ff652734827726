"""What intake answers, in the words that producers rely on."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from functions.codex_intake import shapes
from functions.codex_intake.settings import Settings
from shared.domain import timeline
from shared.domain.ids import resource_name
from shared.domain.task import Accepted, Cancellation, Stage
from shared.domain.task_token import mint_task_token

FIRST_ATTEMPT = 1

AnyShape = TypeVar("AnyShape", bound=shapes.Shape)


def delivered(accepted: Accepted) -> shapes.Delivered:
    """The answer to a protobuf delivery: the earlier system's keys, then the ids."""
    prefix = accepted.orchestration.get("namePrefix", "codex-")
    return shapes.Delivered(
        stage=Stage(accepted.stage),
        namespace=accepted.orchestration.get("namespace", "default"),
        workflow_name=resource_name(accepted.run_id, FIRST_ATTEMPT, prefix),
        submitted_at=_utc(accepted.accepted_at).replace(microsecond=0),
        duplicate=accepted.duplicate or accepted.coalesced,
        idea_id=accepted.idea_id,
        task_id=accepted.task_id,
        task_run_id=accepted.run_id,
    )


def promised(run: UUID, settings: Settings) -> str:
    """The answer to `POST /v1/codex/tasks` as it is stored: without the token."""
    task = f"/v1/codex/tasks/{run}"
    answer = shapes.Submitted(
        task_id=run,
        status="accepted",
        callback=shapes.Callback(url=f"{settings.callback_url}{task}/events", token=""),
        memory_endpoint=shapes.MemoryEndpoint(url=f"{settings.memory_url}{task}/memory"),
        links=links(run),
        duplicate=False,
    )
    return msgspec.json.encode(answer).decode()


def submitted(accepted: Accepted, settings: Settings) -> dict[str, Any]:
    """The answer to `POST /v1/codex/tasks`: the same bytes for every replay, also one of a later version."""
    answer: dict[str, Any] = msgspec.json.decode(accepted.answer or promised(accepted.run_id, settings))
    answer["callback"]["token"] = mint_task_token(settings.token_secret, accepted.run_id, FIRST_ATTEMPT)
    return {**answer, "duplicate": accepted.coalesced}


def links(task_id: object) -> shapes.Links:
    """Where more is to be had of a task that was accepted."""
    task = f"/v1/codex/tasks/{task_id}"
    return shapes.Links(self_=task, timeline=f"{task}/timeline", cancel=f"{task}/cancel")


def task(row: Mapping[str, Any], held: str | None) -> shapes.Task:
    """A task with everything that is known of it; `held` says why nobody will launch it."""
    artifacts = [
        {**artifact, "link": f"/v1/codex/tasks/{row['taskId']}/artifacts/{artifact['id']}"}
        for artifact in row["artifacts"]
    ]
    return _shown(shapes.Task, {**row, "artifacts": artifacts, "held": held or msgspec.UNSET})


def listed(row: Mapping[str, Any]) -> shapes.ListedTask:
    """A task as it is listed."""
    return _shown(shapes.ListedTask, row)


def entry(told: timeline.Entry) -> shapes.Entry:
    """An entry of a timeline."""
    return shapes.Entry(id=str(told.id), at=_utc(told.at), what=told.what, detail=told.detail)


def line(told: timeline.Entry) -> str:
    """An entry of a timeline as one line, for a stream."""
    return msgspec.json.encode(entry(told)).decode()


def canceled(task_id: UUID, found: Cancellation) -> shapes.Canceled:
    """The answer to a wish to cancel."""
    return shapes.Canceled(task_id=task_id, status=found.status, cancel_requested=found.requested)


def _shown(shape: type[AnyShape], row: Mapping[str, Any]) -> AnyShape:
    """A row of a task: its columns bear the names that the answer has."""
    values = {**row, "links": links(row["taskId"])}
    return shape(*(_value(values[name]) for name in shape.__struct_encode_fields__))


def _value(value: Any) -> Any:
    return _utc(value) if isinstance(value, datetime) else value


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)
