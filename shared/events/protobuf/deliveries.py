"""`CodexTask` deliveries of the earlier system, and their form as JSON."""

from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from shared.domain.errors import Malformed
from shared.domain.task import Stage
from shared.events.protobuf.proompteng.froussard.v1.codex_task_pb2 import CodexTask


def parse(body: bytes) -> CodexTask:
    """Malformed, in the words of the earlier system, if it is none."""
    try:
        return CodexTask.FromString(body)
    except DecodeError:
        raise Malformed("invalid payload") from None


def document(task: CodexTask) -> dict[str, Any]:
    """The task's JSON form as the earlier system stored it: 64-bit numbers as text, `stage` in short."""
    form: dict[str, Any] = MessageToDict(task, always_print_fields_with_no_presence=True)
    return {**form, "issuedAt": form.get("issuedAt"), "stage": Stage.IMPLEMENTATION.value}
