"""`facteur runner`: does an image, or any command, keep the contract of the container?"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from shared.cli.terminal import plain, refuse
from shared.local.conformance.checks import Finding, State
from shared.local.conformance.checks import check as check_contract
from shared.local.conformance.containers import ENGINES, CannotRun, Container, find
from shared.local.conformance.trial import PROMPT

runner = typer.Typer(no_args_is_help=True, help="Look at what runs a task: the container.")

_MARKS = {State.PASSED: "[green]✓[/green]", State.NOT_SEEN: "[dim]-[/dim]"}


@runner.callback()
def _group() -> None:
    """Keeps `check` a command of its own name while it is the only one."""


@runner.command()
def check(
    what: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE-OR-COMMAND", help="An image; or a program and, after `--`, its arguments."),
    ],
    prompt: Annotated[str, typer.Option(help="What the prompt file says.")] = PROMPT,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that each of the ten runs may take.")] = 120,
    engine: Annotated[str, typer.Option(help=f"{' or '.join(ENGINES)}; what is named is an image then.")] = "",
    env: Annotated[
        list[str] | None, typer.Option(help="A variable of yours that it gets as well, by name. Repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of lines.")] = False,
) -> None:
    """Run a container ten times against a stand-in callback, and say where it breaks the contract.

    Images run without root, capabilities and a writable root file system, as Jobs do. A command runs with
    your rights: whether it writes outside of its folders is not seen. Exit code 0 if it does all that is
    required, 1 if not, 2 if it cannot be run.
    """
    if engine and engine not in ENGINES:
        raise typer.BadParameter(f"must be {' or '.join(ENGINES)}", param_hint="--engine")
    if unset := [name for name in env or () if name not in os.environ]:
        raise typer.BadParameter(f"{unset[0]} is not set", param_hint="--env")
    try:
        container = find(what, engine, {name: os.environ[name] for name in env or ()})
        findings = list(_shown(container, prompt, timeout, as_json))
    except CannotRun as error:
        refuse(str(error))
    passed = not any(finding.required and finding.state is State.FAILED for finding in findings)
    if as_json:
        typer.echo(json.dumps({"passed": passed, "checks": [asdict(finding) for finding in findings]}, indent=2))
    raise typer.Exit(0 if passed else 1)


def _shown(container: Container, prompt: str, timeout: float, quiet: bool) -> Iterator[Finding]:
    console = Console(soft_wrap=True, highlight=False, quiet=quiet)
    for finding in check_contract(container, prompt, timeout):
        console.print(*_lines(finding), sep="\n")
        yield finding


def _lines(finding: Finding) -> Sequence[str]:
    if finding.state is not State.FAILED:
        aside = f" [dim](not seen: {escape(finding.problem)})[/dim]" if finding.problem else ""
        return [f"{_MARKS[finding.state]} {finding.name:<11} {finding.title}{aside}"]
    mark = "[red]✗[/red]" if finding.required else "[yellow]![/yellow]"
    said = escape(plain(finding.problem))
    return [f"{mark} {finding.name:<11} {finding.title}", f"  {'':<11} {said}.", f"  {'':<11} {escape(finding.advice)}"]
