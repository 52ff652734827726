"""Lines of `codex exec --json` become reports; none is lost, and none can break the reader."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runner.delivery import MAX_EVENT_BYTES
from shared.runner.wrapping.codex_stream import MAX_MESSAGE, MAX_OUTPUT, CodexStream, Said

RECORDED = sorted((Path(__file__).parents[2] / "component/runner/streams").glob("*.jsonl"))


def read(*events: dict[str, Any]) -> list[tuple[str, Any]]:
    stream = CodexStream()
    return [(said.kind, said.content) for event in events for said in stream.read(json.dumps(event)) or ()]


def item(shape: str, **fields: Any) -> dict[str, Any]:
    return {"type": "item.completed", "item": {"id": "item_0", "type": shape, **fields}}


@pytest.mark.parametrize("path", RECORDED, ids=[path.stem for path in RECORDED])
def test_of_a_recorded_stream_every_line_is_known(path: Path) -> None:
    stream = CodexStream()
    for line in path.read_text("utf-8").splitlines():
        told = stream.read(line)
        assert told is not None
        assert all(said.content.get("kind") != "event" for said in told)


def test_there_are_recorded_streams() -> None:
    assert len(RECORDED) >= 6


@pytest.mark.parametrize(
    ("event", "kind", "content"),
    [
        ({"type": "thread.started", "thread_id": "t"}, "log", {"kind": "thread", "threadId": "t"}),
        ({"type": "error", "message": "again 1/2"}, "progress", {"kind": "error", "message": "again 1/2"}),
        (item("error", message="odd model"), "progress", {"kind": "error", "message": "odd model"}),
        (item("agent_message", text="Hi"), "progress", {"kind": "message", "text": "Hi"}),
        (item("reasoning", text="Hm"), "log", {"kind": "reasoning", "text": "Hm"}),
        (item("web_search", query="q"), "progress", {"kind": "search", "query": "q"}),
        (
            item("command_execution", command="ls", aggregated_output="", exit_code=None, status="in_progress"),
            "progress",
            {"kind": "command", "command": "ls", "status": "in_progress"},
        ),
        (
            item("command_execution", command="ls", aggregated_output="a\n", exit_code=2, status="failed"),
            "progress",
            {"kind": "command", "command": "ls", "status": "failed", "exitCode": 2, "output": "a\n"},
        ),
        (
            item("file_change", changes=[{"path": "/a", "kind": "add"}, "odd"], status="completed"),
            "progress",
            {"kind": "files", "status": "completed", "files": [{"path": "/a", "change": "add"}], "count": 1},
        ),
        (
            item("todo_list", items=[{"text": "one", "completed": True}, {"text": "two", "completed": False}]),
            "progress",
            {"kind": "todo", "items": [{"text": "one", "done": True}, {"text": "two", "done": False}], "count": 2},
        ),
        (
            item("mcp_tool_call", server="s", tool="t", arguments={"a": 1}, result=None, error=None, status="failed"),
            "progress",
            {"kind": "tool", "server": "s", "tool": "t", "status": "failed", "arguments": '{"a": 1}'},
        ),
        (
            {"type": "turn.completed", "usage": {"input_tokens": 3, "new_kind_tokens": 4, "odd": "x", "less": -1}},
            "usage",
            {"inputTokens": 3, "newKindTokens": 4},
        ),
    ],
)
def test_an_event_becomes_a_report(event: dict[str, Any], kind: str, content: dict[str, Any]) -> None:
    assert read(event) == [(kind, content)]


@pytest.mark.parametrize(
    "event", [{"type": "new.event", "x": 1}, {"no": "type"}, {"type": "item.started"}, item("new_item", x=[1])]
)
def test_what_is_unknown_is_logged_as_it_is(event: dict[str, Any]) -> None:
    assert read(event) == [("log", {"kind": "event", "text": json.dumps(event)})]


def test_the_result_is_the_last_message() -> None:
    stream = CodexStream()
    for text in ("first", "last"):
        stream.read(json.dumps(item("agent_message", text=text)))
    stream.read(json.dumps(item("reasoning", text="after")))
    assert stream.result == "last"


def test_a_turn_that_failed_counts_until_one_is_completed_and_an_error_alone_does_not() -> None:
    stream = CodexStream()
    stream.read('{"type": "error", "message": "again"}')
    assert stream.failure is None
    assert stream.read('{"type": "turn.failed", "error": {"message": "no"}}') == []
    assert stream.failure == "no"
    stream.read('{"type": "turn.completed"}')
    assert stream.failure is None
    stream.read('{"type": "turn.failed"}')
    assert stream.failure == "the turn failed"


@pytest.mark.parametrize("line", ["", "plain", "[]", "1", "null", '{"type"', "[" * 100_000, "9" * 5000])
def test_a_line_that_is_no_json_object_is_not_read(line: str) -> None:
    assert CodexStream().read(line) is None


def test_an_event_that_is_nested_deeply_is_logged() -> None:
    deep = '{"type": "item.completed", "item": {"type": "agent_message", "text": ' + "[" * 900 + "]" * 900 + "}}"
    told = CodexStream().read(deep)
    assert told is None or len(told) == 1


WORST = "\U0001f600"


@pytest.mark.parametrize(
    "event",
    [
        item("agent_message", text=WORST * 10**6),
        item("command_execution", command=WORST * 10**6, aggregated_output=WORST * 10**6, exit_code=0, status=WORST),
        item("file_change", changes=[{"path": WORST * 5000, "kind": WORST * 500}] * 5000),
        item("todo_list", items=[{"text": WORST * 5000}] * 5000),
        item("mcp_tool_call", server=WORST * 999, tool=WORST * 999, arguments=WORST * 10**6, result=WORST * 10**6),
        {"type": WORST * 10**6},
    ],
)
def test_a_report_fits_into_an_event_whatever_it_holds(event: dict[str, Any]) -> None:
    ((_, content),) = read(event)
    assert len(json.dumps(content)) < MAX_EVENT_BYTES - 1000


def test_a_long_output_keeps_its_start_and_its_end() -> None:
    output = "start" + "x" * 100_000 + "end"
    ((_, content),) = read(item("command_execution", command="c", aggregated_output=output, exit_code=0))
    assert content["output"].startswith("start")
    assert content["output"].endswith("end")
    assert f"… ({len(output) - MAX_OUTPUT} characters are cut out here) …" in content["output"]
    assert MAX_OUTPUT < MAX_MESSAGE


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)
KINDS = ["item.completed", "item.started", "turn.completed", "turn.failed", "error", "thread.started"]
ITEMS = ["agent_message", "command_execution", "file_change", "todo_list", "mcp_tool_call", "error", "web_search"]
FIELDS = ["text", "command", "changes", "items", "usage", "error", "message", "exit_code", "status", "arguments"]
events = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional={
        "item": st.fixed_dictionaries({"type": st.sampled_from(ITEMS)}, optional=dict.fromkeys(FIELDS, json_values))
        | json_values,
        "usage": json_values | st.dictionaries(st.text(), st.integers()),
        "error": json_values,
        "message": json_values,
    },
)


@given(events)
def test_no_shape_of_an_event_breaks_the_reader(event: dict[str, Any]) -> None:
    told = CodexStream().read(json.dumps(event))
    assert told is not None
    assert all(isinstance(said, Said) and json.dumps(said.content, allow_nan=False) for said in told)
