"""What schemathesis cannot know from the document: how to make a CodexTask and the id of an entry."""

from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import HookContext

from shared.domain.cursors import EntryId
from shared.events.protobuf.proompteng.froussard.v1.codex_task_pb2 import CodexTask, CodexTaskStage

_STORED = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=50)
_SAID = _STORED.filter(str.strip)


@st.composite
def codex_tasks(draw: st.DrawFn) -> bytes:
    """A delivery that must be accepted, some of them for the same work or twice."""
    task = CodexTask(
        stage=CodexTaskStage.CODEX_TASK_STAGE_IMPLEMENTATION,
        prompt=draw(_SAID),
        delivery_id=draw(st.sampled_from(["a", "b"]) | _SAID),
        repository=draw(st.just("owner/name") | _SAID),
        issue_number=draw(st.integers(1, 2**63 - 1)),
        base=draw(_STORED),
        head=draw(_STORED),
        issue_title=draw(_STORED),
        autonomous=draw(st.booleans()),
    )
    return task.SerializeToString()


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Texts of a pattern and of a million characters cannot be drawn; the document keeps both."""
    del raw_schema["components"]["schemas"]["TaskBody"]["properties"]["prompt"]["maxLength"]


schemathesis.openapi.media_type("application/x-protobuf", codex_tasks())
schemathesis.openapi.format(
    "entry-id",
    st.just("")
    | st.builds(
        EntryId,
        position=st.integers(0, 2**64 - 1),
        micros=st.integers(0, 2**53),
        place=st.integers(0, 9),
        tie=st.text("abcdef0123456789-", max_size=40),
    ).map(str),
)
