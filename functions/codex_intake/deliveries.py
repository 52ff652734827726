"""Tasks as the earlier system delivers them: `CodexTask` protobufs."""

import hashlib
from typing import Any

from functions.codex_intake.orchestrate import Switches, iterations
from shared.domain.errors import Malformed, Rejected
from shared.domain.ids import is_made_here
from shared.domain.task import Mode, TaskRequest
from shared.domain.token import Caller
from shared.events.protobuf.deliveries import document, parse
from shared.events.protobuf.proompteng.froussard.v1.codex_task_pb2 import CODEX_TASK_STAGE_IMPLEMENTATION, CodexTask


def from_protobuf(body: bytes, caller: Caller, switches: Switches, coalesce_seconds: int = 0) -> TaskRequest:
    """A `CodexTask` delivery. Its errors keep the words of the earlier system."""
    if not body:
        raise Malformed("empty payload")
    task = parse(body)
    if task.stage != CODEX_TASK_STAGE_IMPLEMENTATION:
        raise Malformed("unsupported codex stage")
    mode = switches.mode()
    delivery_id = task.delivery_id.strip()
    if not delivery_id:
        raise Rejected("missing delivery_id")
    if is_made_here(delivery_id):
        raise Rejected("delivery_id must not begin with http: or cloudevent: as those of other doors do")
    return TaskRequest(
        delivery_id=delivery_id,
        source_type="github_issue",
        source_ref=f"{task.repository}#{task.issue_number}",
        caller=caller.name,
        tenant=caller.tenant,
        prompt=task.prompt,
        payload=document(task),
        body_hash=hashlib.sha256(task.SerializeToString(deterministic=True)).digest(),
        mode=mode,
        repository=task.repository,
        base=task.base or "main",
        head=task.head,
        issue_number=task.issue_number,
        delivery=body,
        orchestration=_workflow(task, switches) if mode is Mode.ARGO else {},
        coalesce_seconds=coalesce_seconds,
    )


def _workflow(task: CodexTask, switches: Switches) -> dict[str, Any]:
    policy = task.iterations
    count = policy.count if policy.HasField("count") else None
    most = policy.max if policy.HasField("max") else None
    return switches.workflow(
        task.repository,
        task.issue_number,
        task.base,
        task.head,
        autonomous=task.autonomous,
        repeat=iterations(policy.mode, count, most),
        cycle=task.iteration_cycle or 1,
    )
