"""How the demo shows what happened."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.cli.dev import say
from shared.domain.memory import snippet
from shared.local.demo.stations import STATIONS
from shared.local.demo.story import Entry
from shared.postgres.evidence import Evidence

_COLOURS = {"succeeded": "green", "failed": "red", "accepted": "cyan", "launched": "magenta"}


def line(entry: Entry) -> str:
    """One line of the live timeline."""
    colour = _COLOURS.get(entry.what, "white")
    return (
        f"[dim]{entry.seconds:6.1f} s[/dim]  {entry.name:<10}  [{colour}]{entry.what:<12}[/{colour}]  "
        f"[dim]{escape(snippet(_detail(entry.detail), 90))}[/dim]"
    )


def _detail(detail: Mapping[str, Any]) -> str:
    for name in ("content", "result", "reason", "resource", "kind"):
        value = detail.get(name)
        if value:
            text = value if isinstance(value, str) else json.dumps(value)
            return f"{text} ({detail['model']})" if detail.get("model") else text
    return ", ".join(f"{key} {value}" for key, value in detail.items() if value not in ("", None))


def task_table(tasks: Mapping[UUID, str], seen: Mapping[str, Evidence | None]) -> Table:
    """The tasks: how each came, how it ended, what it left."""
    table = Table(title="Tasks", title_justify="left")
    for heading in ("came as", "task", "status", "seconds", "artifacts", "memories", "result"):
        table.add_column(heading)
    for task, name in tasks.items():
        found = seen[name]
        if found is None:
            table.add_row(name, str(task), "[red]not stored[/red]", "", "", "", "")
            continue
        colour = _COLOURS.get(found.status, "yellow")
        table.add_row(
            name,
            str(task)[:8],
            f"[{colour}]{found.status}[/{colour}]",
            f"{found.seconds:.1f}",
            ", ".join(found.artifacts),
            str(len(found.embedded)),
            escape(snippet(found.result or found.reason, 60)),
        )
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
    say(console, "\nTry next, in one terminal (it keeps the demo's tasks and memories, and prints URL and token):")
    say(console, f"  {facteur} dev --state {state}")
    say(console, "and in another, with URL=… and TOKEN=… as printed:")
    say(console, """  curl -H "Authorization: Bearer $TOKEN" --json '{"prompt": "Say hello"}' $URL/v1/codex/tasks""")
    say(console, """  curl -H "Authorization: Bearer $TOKEN" $URL/v1/codex/tasks/TASK_ID/timeline""")
    say(
        console,
        """  curl -H "Authorization: Bearer $TOKEN" --json '{"text": "ingestion"}' """
        "$URL/v1/codex/tasks/TASK_ID/memory/query",
    )
