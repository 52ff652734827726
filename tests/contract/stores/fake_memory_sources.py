"""Which texts of a task are remembered, in memory."""

from collections.abc import Iterator
from typing import Any

from shared.domain.memory_index import Text
from shared.domain.run import RunState
from tests.contract.stores.fakes import Kept

# Kind, which one of its kind, text, who wrote it, and of which attempt.
Source = tuple[str, str, str, str, int | None]


def texts_of(kept: Kept) -> list[Text]:
    request = kept.request
    namespaces = sorted({target.namespace for target in request.targets})
    kinds = sorted({target.kind for target in request.targets})
    about = (request.tenant, request.repository, list(request.tags), namespaces, kinds)
    sources = [("prompt", "prompt", request.prompt, "caller", None), *_snapshots(kept), *_end(kept)]
    return [
        Text(kept.run.id, kind, ref, text, *about, trust, attempt)
        for kind, ref, text, trust, attempt in sources
        if text.strip()
    ]


def _snapshots(kept: Kept) -> Iterator[Source]:
    for attempt, report in kept.reports.values():
        if report.snapshot:
            taken = report.snapshot
            yield f"snapshot-{taken.type}", str(taken.id), taken.content, "agent", attempt
    for id_, taken in kept.snapshots.items():
        attempt, difference = kept.taken[id_]
        yield f"snapshot-{taken.type}", str(id_), taken.content, "cluster", attempt
        yield "change", str(id_), difference, "cluster", attempt
        yield "change-shape", str(id_), difference, "cluster", attempt


def _end(kept: Kept) -> Iterator[Source]:
    if not kept.run.status.final:
        return
    attempt = kept.run.attempt
    ref = f"attempt {attempt}"
    of_attempt = sorted((one.sequence, one) for by, one in kept.reports.values() if by == attempt)
    completed = [one.content for _, one in of_attempt if one.event_type == "completed"]
    final = str(completed[-1] or "") if completed and kept.run.status is RunState.SUCCEEDED else ""
    said = [_telling(one.content) for _, one in of_attempt if one.event_type == "progress"]
    known = ("", final, kept.reason, f"error: {kept.reason}")
    told = [text for text in dict.fromkeys(reversed(said)) if text not in known][:20]
    yield "events", ref, "\n\n".join(map(_shortened, reversed(told))), "agent", attempt
    yield "final-message", ref, final, "agent", attempt
    reason = f": {kept.reason}" if kept.reason else ""
    seconds = round((kept.ended_at or 0) - (kept.launched_at or kept.moved_at))
    yield "outcome", ref, f"{kept.run.status.value}{reason} (attempt {attempt}, {max(0, seconds)} s)", "agent", attempt


def _telling(content: Any) -> str:
    """What an event says that is worth it, "" if it does not."""
    if isinstance(content, str):
        return content if len(content) >= 40 else ""
    fields = content if isinstance(content, dict) else {}
    text, kind = str(fields.get("text", "")), fields.get("kind")
    if kind == "message" and len(text) >= 40:
        return text
    if kind == "error":
        return f"error: {fields['message']}"
    code = fields.get("exitCode")
    if kind == "command" and (fields.get("status") == "failed" or code not in (None, 0)):
        with_code = "" if code is None else f" with exit code {code}"
        output = f"\n{fields['output']}" if "output" in fields else ""
        return f"failed{with_code}: {fields['command']}{output}"
    if kind == "tool" and fields.get("error"):
        return f"failed: {fields['server']} {fields['tool']}\n{fields['error']}"
    return ""


def _shortened(text: str) -> str:
    return text if len(text) <= 3000 else f"{text[:1500]}\n…\n{text[-1500:]}"
