"""Reads the JSON lines of `codex exec --json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.runner.content import cut, cut_inside

MAX_OUTPUT = 16 * 1024
MAX_MESSAGE = 32 * 1024
_MAX_COMMAND = 8 * 1024
_MAX_LINE = 1024
_MAX_ENTRIES = 100
_USAGE = {
    "input_tokens": "inputTokens",
    "cached_input_tokens": "cachedInputTokens",
    "cache_write_input_tokens": "cacheWriteInputTokens",
    "output_tokens": "outputTokens",
    "reasoning_output_tokens": "reasoningOutputTokens",
}
_MAX_NUMBER = 10**15

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """One report: its kind (progress, log or usage) and its content; `size` is about its characters."""

    kind: str
    content: Mapping[str, Any]
    size: int


class CodexStream:
    """Reads one run. `result` is the last message so far, `failure` why the last turn failed, if it did."""

    def __init__(self) -> None:
        self.result = ""
        self.failure: str | None = None

    def read(self, line: str) -> list[Said] | None:
        """What a line says; None if it is no JSON object. What is unknown is told as it is."""
        event = _parsed(line)
        if event is None:
            return None
        kind = event.get("type")
        if kind == "turn.started":
            return []
        if kind == "turn.completed":
            self.failure = None
            return list(_usage(event))
        if kind == "turn.failed":
            # The same words came as an `error` just before.
            self.failure = _text(_fields(event, "error"), "message", MAX_MESSAGE) or "the turn failed"
            return []
        try:
            return [self._said(kind, event, line)]
        except RecursionError:
            return [_unknown(line)]

    def _said(self, kind: Any, event: Fields, line: str) -> Said:
        if kind == "thread.started":
            return _log({"kind": "thread", "threadId": _text(event, "thread_id", _MAX_LINE)})
        if kind == "error":
            # Also a warning that it connects again; turn.failed says whether it was the end.
            return _progress({"kind": "error", "message": _text(event, "message", MAX_OUTPUT)})
        item = _fields(event, "item")
        shape = _ITEMS.get(str(item.get("type"))) if kind in _ITEM_EVENTS else None
        if shape is None:
            return _unknown(line)
        said = shape(item)
        if said.content["kind"] == "message" and kind == "item.completed":
            self.result = said.content["text"]
        return said


def _parsed(line: str) -> Fields | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _usage(event: Fields) -> Iterator[Said]:
    """The sum over the model's calls in this turn."""
    usage = {_USAGE.get(name, _camel(name)): number for name, number in _fields(event, "usage").items()}
    counted = {name: number for name, number in usage.items() if _is_count(name, number)}
    if counted:
        yield Said("usage", dict(list(counted.items())[:20]), 0)


def _is_count(name: str, number: object) -> bool:
    known = name.isascii() and name.isalnum() and name[0].isalpha() and len(name) <= 64
    return known and isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= _MAX_NUMBER


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _message(item: Fields) -> Said:
    return _progress({"kind": "message", "text": _text(item, "text", MAX_MESSAGE)})


def _reasoning(item: Fields) -> Said:
    return _log({"kind": "reasoning", "text": _text(item, "text", MAX_MESSAGE)})


def _command(item: Fields) -> Said:
    output, code = item.get("aggregated_output"), item.get("exit_code")
    content: dict[str, Any] = {"kind": "command", "command": _text(item, "command", _MAX_COMMAND)}
    content["status"] = _status(item)
    if isinstance(code, int) and abs(code) < 2**32:
        content["exitCode"] = code
    if isinstance(output, str) and output:
        content["output"] = cut_inside(output, MAX_OUTPUT)
    return _progress(content)


def _files(item: Fields) -> Said:
    changes = item.get("changes")
    entries = [change for change in changes if isinstance(change, dict)] if isinstance(changes, list) else []
    shown = [
        {"path": _text(change, "path", _MAX_LINE // 4), "change": _text(change, "kind", 20)}
        for change in entries[:_MAX_ENTRIES]
    ]
    content = {"kind": "files", "status": _status(item), "files": shown, "count": len(entries)}
    return _progress(content)


def _todo(item: Fields) -> Said:
    entries = item.get("items")
    listed = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    shown = [
        {"text": _text(entry, "text", _MAX_LINE // 4), "done": entry.get("completed") is True}
        for entry in listed[:_MAX_ENTRIES]
    ]
    return _progress({"kind": "todo", "items": shown, "count": len(listed)})


def _tool(item: Fields) -> Said:
    content = {"kind": "tool", "server": _text(item, "server", 200), "tool": _text(item, "tool", 200)}
    content["status"] = _status(item)
    for name, limit in (("arguments", _MAX_COMMAND), ("result", MAX_OUTPUT), ("error", _MAX_LINE)):
        if item.get(name) is not None:
            content[name] = _text(item, name, limit)
    return _progress(content)


def _search(item: Fields) -> Said:
    return _progress({"kind": "search", "query": _text(item, "query", _MAX_LINE)})


def _warning(item: Fields) -> Said:
    return _progress({"kind": "error", "message": _text(item, "message", MAX_OUTPUT)})


_ITEM_EVENTS = ("item.started", "item.updated", "item.completed")
_ITEMS: dict[str, Callable[[Fields], Said]] = {
    "agent_message": _message,
    "reasoning": _reasoning,
    "command_execution": _command,
    "file_change": _files,
    "todo_list": _todo,
    "mcp_tool_call": _tool,
    "web_search": _search,
    "error": _warning,
}


def _progress(content: dict[str, Any]) -> Said:
    return Said("progress", content, _size(content))


def _unknown(line: str) -> Said:
    return _log({"kind": "event", "text": cut(line, MAX_OUTPUT)})


def _log(content: dict[str, Any]) -> Said:
    return Said("log", content, _size(content))


def _size(content: object) -> int:
    return len(json.dumps(content, ensure_ascii=False))


def _status(item: Fields) -> str:
    return _text(item, "status", 40)


def _fields(event: Fields, name: str) -> Fields:
    value = event.get(name)
    return value if isinstance(value, dict) else {}


def _text(event: Fields, name: str, limit: int) -> str:
    """A field as text: what is no text as JSON, and nothing as ""."""
    value = event.get(name)
    if value is None:
        return ""
    return cut_inside(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), limit)
