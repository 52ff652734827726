"""`facteur demo`: the main job, from an empty state to an answer from memory, shown as it happens."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape

from shared.cli.dev import say, stopped_by_signals
from shared.cli.report import line, memory_table, next_steps, station_table, task_table
from shared.domain.errors import FacteurError
from shared.embeddings import configured, embedder
from shared.embeddings.settings import EmbeddingSettings
from shared.local.demo import inputs
from shared.local.demo.own_database import database_of_its_own
from shared.local.demo.stations import given_memory_of, missed
from shared.local.demo.story import DemoFailed, Story, deliveries
from shared.local.twin import Twin, TwinInfo, TwinSettings
from shared.postgres.database import Database
from shared.postgres.evidence import Evidence, PgEvidence
from shared.settings import load

QUESTION = "How was codex_kb ingestion in Facteur wired?"
# A database that is restarted in the middle is waited for.
RESTART_SECONDS = 30.0


def demo(
    state: Annotated[Path, typer.Option(help="Folder for the demo's own twin; emptied first.")] = Path(".facteur-demo"),
    patience: Annotated[int, typer.Option(min=1, help="Seconds to wait for tasks to end, or for a replay.")] = 120,
) -> None:
    """Run real tasks through all six functions on this machine, and show what happened.

    Exit code 0 only if every task reached every station.
    """
    console = Console(soft_wrap=True, highlight=False)
    began = time.monotonic()
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # the twin says in its own words what restarts
    try:
        with database_of_its_own():
            twin = Twin(
                # Every task of the demo is shown what there is: it is no trial of whether that helps.
                TwinSettings(state, fresh=True, holdout_share=0),
                said=lambda sentence: say(console, f"[yellow]{escape(sentence)}"),
            )
            with stopped_by_signals(twin):
                say(console, "starting PostgreSQL, Redis, the broker and six functions…")
                info = twin.start()
                say(console, f"ready at {info.url} after {time.monotonic() - began:.1f} s")
                Demo(console, info, patience).run()
    except KeyboardInterrupt:
        say(console, "stopped before the end")
        raise typer.Exit(130) from None
    except FacteurError as error:
        say(Console(stderr=True, soft_wrap=True, highlight=False), f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(2 if not isinstance(error, DemoFailed) else 1) from None
    say(console, f"\n[green]Every task reached every station.[/green] {time.monotonic() - began:.1f} s in all.")
    next_steps(console, state)


class Demo:
    """The demo on a running twin."""

    def __init__(self, console: Console, info: TwinInfo, patience: int) -> None:
        self._console = console
        self._info = info
        self._patience = patience
        self._story = Story(info.url, info.api_token)
        self._evidence = PgEvidence(Database(info.dsn, timeout=RESTART_SECONDS))
        self._names: dict[UUID, str] = {}

    def run(self) -> None:
        """DemoFailed unless everything happened that should, and nothing twice."""
        first, *later = self._inputs()
        settings = load(EmbeddingSettings)
        model = configured(settings.api_key, settings.model, settings.dimension)
        made_by = embedder(model, settings.api_key, settings.base_url)
        self._console.print(f"embeddings: {made_by.describe()}")
        self._console.print("tasks are done by the stand-in agent: real commits and tests, but no language model\n")
        tasks = self._follow([first])
        earlier = next(iter(tasks))
        tasks |= self._follow(later)
        self._check_stations(tasks)
        self._check_memory(tasks, earlier)
        self._check_replays(tasks)

    def _inputs(self) -> list[inputs.Input]:
        token = self._info.api_token
        signed = inputs.discord_command(self._info.discord_private_key)
        return [inputs.codex_task(token), inputs.json_task(token), inputs.cloud_event(), signed]

    def _follow(self, batch: list[inputs.Input]) -> dict[UUID, str]:
        tasks: dict[UUID, str] = {}
        for sent in batch:
            tasks[self._story.send(sent)] = sent.name
            self._names |= tasks
            self._console.print(f"[bold]POST {sent.path}[/bold]  {sent.name}, {len(sent.body)} bytes")
        for entry in self._story.watch(tasks, lambda: not self._unfinished(tasks), self._patience):
            self._console.print(line(entry, self._names))
        return tasks

    def _unfinished(self, tasks: Mapping[UUID, str]) -> dict[UUID, str]:
        """Tasks that have not ended, or whose end is not remembered yet."""

        def open_still(task: UUID) -> bool:
            seen = self._evidence.of(task)
            return seen is None or (seen.status != "failed" and bool(missed(seen)))

        return {task: name for task, name in tasks.items() if open_still(task)}

    def _check_stations(self, tasks: Mapping[UUID, str]) -> None:
        seen = {name: self._evidence.of(task) for task, name in tasks.items()}
        self._console.print("")
        self._console.print(task_table(tasks, seen))
        self._console.print(station_table(seen))
        for name, evidence in seen.items():
            gaps = missed(evidence)
            if gaps:
                raise DemoFailed(
                    f"the {name} task did not reach: {gaps[0].name} ({_why(evidence)}); see {self._info.logs}"
                )

    def _check_memory(self, tasks: Mapping[UUID, str], earlier: UUID) -> None:
        answers = self._story.ask(list(tasks)[-1], QUESTION)
        self._console.print(memory_table(QUESTION, answers, tasks))
        if not any(result["provenance"]["taskId"] == str(earlier) for result in answers["results"]):
            raise DemoFailed("memory-query does not know the first task")
        for task, name in list(tasks.items())[1:]:
            seen = self._evidence.of(task)
            if seen is None or not given_memory_of(seen, earlier):
                raise DemoFailed(f"the {name} task was not given the memory of the first task")
        self._console.print(
            f"Each later task got the memory of the {tasks[earlier]} task, in its prompt and by asking."
        )

    def _check_replays(self, tasks: Mapping[UUID, str]) -> None:
        before = self._evidence.totals()
        log = self._info.logs / "broker.log"
        for sent in self._inputs():
            if self._story.send(sent) not in tasks:
                raise DemoFailed(f"the replay of the {sent.name} input became a task of its own")
        events = [sent.event_id for sent in self._inputs() if sent.event_id]
        give_up = time.monotonic() + self._patience
        while not all(deliveries(log, event) >= 2 for event in events):
            if time.monotonic() > give_up:
                raise DemoFailed(f"the replayed event was not delivered again within {self._patience} s")
            time.sleep(0.1)
        after = self._evidence.totals()
        if after != before or before.launches != len(tasks):
            raise DemoFailed(f"the replays changed something: {before} became {after}")
        self._console.print(
            f"Every input was sent a second time: {after.tasks} tasks and {after.launches} launches, as before.",
        )


def _why(evidence: Evidence | None) -> str:
    if evidence is None:
        return "it is not stored"
    return ": ".join(part for part in (f"it is {evidence.status}", evidence.reason) if part)
