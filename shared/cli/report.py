"""How the demo shows what happened."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.domain.memory import snippet
from shared.local.demo.stations import STATIONS
from shared.local.demo.story import Entry
from shared.postgres.evidence import Evidence

_COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "expired": "red",
    "canceled": "red",
    "accepted": "cyan",
    "launched": "magenta",
}


def line(entry: Entry, tasks: Mapping[UUID, str]) -> str:
    """One line of the live timeline."""
    colour = _COLOURS.get(entry.what, "white")
    return (
        f"[dim]{entry.seconds:6.1f} s[/dim]  {entry.name:<10}  [{colour}]{entry.what:<12}[/{colour}]  "
        f"[dim]{escape(snippet(_detail(entry, tasks), 90))}[/dim]"
    )


def _detail(entry: Entry, tasks: Mapping[UUID, str]) -> str:
    detail = entry.detail
    match entry.what:
        case "accepted":
            return f"from {detail['caller']}, to be run in mode {detail['mode']}"
        case "remembered":
            return f"{detail['kind']}, " + (
                f"embedded by {detail['model']}" if detail["model"] else "without a vector yet"
            )
        case "memory shown":
            how = "in the prompt" if detail["channel"] == "prompt" else "when it asked"
            of = tasks.get(UUID(detail["ofTask"]), detail["ofTask"])
            return f"{how}: {detail['kind']} of the {of} task, score {detail['score']:.2f}"
        case "launched":
            return str(detail["resource"])
        case _ if "reason" in detail:
            return str(detail["result"] or detail["reason"])
    content = detail.get("content")
    if not isinstance(content, dict):
        return str(content or "")
    said = next((content[key] for key in ("name", "snapshot", "text", "command") if content.get(key)), None)
    return str(said or ", ".join(f"{k} {v}" for k, v in content.items()))


def task_table(tasks: Mapping[UUID, str], seen: Mapping[str, Evidence | None]) -> Table:
    """The tasks: how each came, how it ended, what it left."""
    table = Table(title="Tasks", title_justify="left")
    for heading in ("came as", "task", "status", "seconds", "artifacts", "memories"):
        table.add_column(heading)
    for task, name in tasks.items():
        found = seen[name]
        if found is None:
            table.add_row(name, str(task), "[red]not stored[/red]", "", "", "")
            continue
        colour = _COLOURS.get(found.status, "yellow")
        status = f"[{colour}]{found.status}[/{colour}]"
        seconds, memories = f"{found.seconds:.1f}", str(len(found.embedded))
        table.add_row(name, str(task)[:8], status, seconds, ", ".join(found.artifacts), memories)
    return table


def station_table(seen: Mapping[str, Evidence | None]) -> Table:
    """The stations: which task reached which."""
    table = Table(title="Stations", title_justify="left")
    table.add_column("station")
    table.add_column("function")
    for name in seen:
        table.add_column(name, justify="center")
    for station in STATIONS:
        marks = (
            "[green]yes[/green]" if found and station.reached(found) else "[red]no[/red]" for found in seen.values()
        )
        table.add_row(station.name, station.function, *marks)
    return table


def memory_table(question: str, answer: Mapping[str, Any], tasks: Mapping[UUID, str]) -> Table:
    """What memory-query found, with its scores."""
    degraded = " (by words alone)" if answer["degraded"] else ""
    table = Table(title=f"Memory: {question}{degraded}, by {answer['model']}", title_justify="left")
    for heading in ("score", "from", "kind", "outcome", "snippet"):
        table.add_column(heading)
    for result in answer["results"]:
        provenance = result["provenance"]
        name = tasks.get(UUID(provenance["taskId"]), provenance["taskId"][:8])
        outcome = str(result["metadata"]["outcome"])
        table.add_row(
            f"{result['score']:.3f}", name, provenance["kind"], outcome, escape(snippet(result["snippet"], 70))
        )
    return table


def next_steps(console: Console, state: Path) -> None:
    """The lines to try next."""
    facteur = Path(sys.argv[0]).parent / "facteur"
    console.print("\nTry next, in one terminal (it keeps the demo's tasks and memories, and prints URL and token):")
    console.print(f"  {facteur} dev --state {state}")
    console.print("and in another, with URL=… and TOKEN=… as printed:")
    console.print("""  curl -H "Authorization: Bearer $TOKEN" -d '{"prompt": "Say hello"}' $URL/v1/codex/tasks""")
    console.print("""  curl -H "Authorization: Bearer $TOKEN" $URL/v1/codex/tasks/TASK_ID/timeline""")
    console.print(
        """  curl -H "Authorization: Bearer $TOKEN" -d '{"text": "ingestion"}' """
        "$URL/v1/codex/tasks/TASK_ID/memory/query",
    )
