"""Tasks as the earlier system delivers them: `CodexTask` protobufs."""

import hashlib
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from shared.domain.errors import Malformed, Rejected
from shared.domain.task import Stage, TaskRequest
from shared.domain.token import Caller
from shared.events.protobuf.proompteng.froussard.v1.codex_task_pb2 import CODEX_TASK_STAGE_IMPLEMENTATION, CodexTask


def from_protobuf(body: bytes, caller: Caller) -> TaskRequest:
    """A `CodexTask` delivery. Its errors keep the words of the earlier system."""
    if not body:
        raise Malformed("empty payload")
    task = _parse(body)
    if task.stage != CODEX_TASK_STAGE_IMPLEMENTATION:
        raise Malformed("unsupported codex stage")
    if not task.delivery_id.strip():
        raise Rejected("missing delivery_id")
    return TaskRequest(
        delivery_id=task.delivery_id.strip(),
        source_type="github_issue",
        source_ref=f"{task.repository}#{task.issue_number}",
        caller=caller.name,
        tenant=caller.tenant,
        prompt=task.prompt,
        payload=document(task),
        body_hash=hashlib.sha256(task.SerializeToString(deterministic=True)).digest(),
        repository=task.repository,
        base=task.base or "main",
        head=task.head,
        issue_number=task.issue_number,
    )


def _parse(body: bytes) -> CodexTask:
    try:
        return CodexTask.FromString(body)
    except DecodeError:
        raise Malformed("invalid payload") from None


def document(task: CodexTask) -> dict[str, Any]:
    """The task's JSON form as the earlier system stored it: 64-bit numbers as text, `stage` in short."""
    form: dict[str, Any] = MessageToDict(task, always_print_fields_with_no_presence=True)
    return {**form, "issuedAt": form.get("issuedAt"), "stage": Stage.IMPLEMENTATION.value}
