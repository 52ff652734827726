"""`facteur memory lift`: whether memory helps, by scope; and a scope that was switched off is switched on again."""

import json as json_format
from datetime import UTC
from typing import Annotated

import typer

from shared.cli.config import ConfigFile
from shared.cli.database import connected
from shared.cli.memory_settings import Dsn, settings
from shared.cli.terminal import fail, plain
from shared.domain.lift import Lift
from shared.domain.scope_lift import INSUFFICIENT, ScopeLift, document
from shared.postgres.memory_learning import PgMemoryLearning

Repository = Annotated[str | None, typer.Option(help="Only the scopes of this repository.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
SwitchOn = Annotated[str | None, typer.Option(metavar="SCOPE", help="Show memories again in a scope that is off.")]


def lift(
    repository: Repository = None,
    json: Json = False,
    switch_on: SwitchOn = None,
    dsn: Dsn = "",
    file: ConfigFile = None,
) -> None:
    """Show how tasks fare with memories against held-out ones: success, duration and cost, each with an interval.

    A scope, shown as tenant:repository, is switched off when its interval of success lies below zero. Switched on
    again, its tasks are counted anew.
    """
    _, dsn = settings(dsn, file)
    with connected(dsn) as database:
        _answer(PgMemoryLearning(database), repository, json, switch_on)


def _answer(learning: PgMemoryLearning, repository: str | None, json: bool, switch_on: str | None) -> None:
    if switch_on is not None:
        if not learning.switch_on(switch_on):
            fail("no scope of this name is off: `facteur memory lift` shows them")
        typer.echo("switched on: its tasks are counted anew")
        return
    scopes = learning.lift(repository=repository)
    if json:
        typer.echo(json_format.dumps([{"scope": scope.name, **document(scope)} for scope in scopes], indent=2))
    elif not scopes:
        typer.echo("no finished task was offered memories yet")
    else:
        typer.echo("\n\n".join(map(_shown, scopes)))


def _shown(scope: ScopeLift) -> str:
    treated, held_out = scope.counts
    lines = [
        f"{plain(scope.name)}: {treated} tasks with memories, {held_out} held out",
        f"  success   {_points(scope.success)}",
        f"  duration  {_percent(scope.duration)}",
        f"  cost      {_percent(scope.cost)}",
    ]
    if scope.off_since:
        lines.append(f"  off since {scope.off_since.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {scope.off_why}")
    return "\n".join(lines)


def _points(found: Lift | None) -> str:
    """A difference of rates, in points of a hundred."""
    return _interval(found, 0.0, " points")


def _percent(found: Lift | None) -> str:
    """A ratio, as what it is more or less than 1."""
    return _interval(found, 1.0, " %")


def _interval(found: Lift | None, nothing: float, unit: str) -> str:
    if found is None:
        return INSUFFICIENT
    estimate, low, high = (f"{100 * (value - nothing):+.1f}" for value in (found.estimate, found.low, found.high))
    return f"{estimate}{unit} ({low} to {high})"
