"""`facteur doctor`: what is wrong with an install, why that matters, and how it is mended."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from shared.cli.config import ConfigFile, environment
from shared.cli.terminal import plain, refuse
from shared.doctor.checks import Report
from shared.doctor.examination import CHECKS, look
from shared.doctor.looks import Asked
from shared.doctor.reading import told
from shared.settings import CONFIG_FILE
from shared.web.serve import FUNCTIONS

Dsn = Annotated[
    str, typer.Option(envvar="FACTEUR_POSTGRES_DSN", show_envvar=True, help="The database; else that of the settings.")
]
RedisUrl = Annotated[
    str, typer.Option("--redis", envvar="FACTEUR_REDIS_URL", show_envvar=True, help="Redis; else that of the settings.")
]
Chosen = Annotated[
    list[str] | None, typer.Option("--function", help="Check the settings of this function alone; may be repeated.")
]
Kubeconfig = Annotated[
    Path | None, typer.Option(help="Look at the cluster of this kubeconfig. KUBECONFIG alone is not taken.")
]
Context = Annotated[str | None, typer.Option(help="A context of the kubeconfig; alone, of the one that kubectl uses.")]
Namespace = Annotated[str, typer.Option(help="Where the functions are.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
List = Annotated[bool, typer.Option("--list", help="Print what is looked for, and look at nothing.")]


def doctor(
    file: ConfigFile = None,
    dsn: Dsn = "",
    redis_url: RedisUrl = "",
    chosen: Chosen = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = "facteur",
    as_json: AsJson = False,
    listed: List = False,
) -> None:
    """Look for what is wrong with an install: settings, database, Redis, artifact store, cluster. Changes nothing.

    Exit code 0: nothing found; 1: something found; 2: something that was asked for could not be looked at.
    """
    if listed:
        for each in CHECKS:
            typer.echo(f"{each.name}: {each.why}")
        return
    if unknown := set(chosen or ()) - set(FUNCTIONS):
        refuse(f"--function must be one of {', '.join(FUNCTIONS)}, and not {plain(unknown.pop())}")
    environ = environment(file)
    known = told(environ)
    report = look(
        Asked(
            dsn=dsn or known.get("FACTEUR_POSTGRES_DSN", ""),
            redis_url=redis_url or known.get("FACTEUR_REDIS_URL", ""),
            environ=environ,
            functions=tuple(chosen or (FUNCTIONS if environ.get(CONFIG_FILE) else ())),
            kubeconfig=kubeconfig,
            context=context,
            namespace=namespace,
        )
    )
    typer.echo(_json(report)) if as_json else _show(report)
    raise typer.Exit(report.exit_code)


def _json(report: Report) -> str:
    return json.dumps(
        {
            "looked": report.looked,
            "findings": [
                {"check": each.check, "what": each.what, "why": each.why, "fix": each.fix} for each in report.findings
            ],
            "not_looked": [
                {"checks": list(each.checks), "why": each.why, "wanted": each.wanted} for each in report.not_looked
            ],
        },
        indent=1,
    )


def _show(report: Report) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for number, each in enumerate(report.findings, 1):
        console.print(f"[bold red]{number}. {escape(plain(each.what))}[/bold red]  [dim]({each.check})[/dim]")
        console.print(f"   why: {escape(plain(each.why))}")
        console.print(f"   fix: {escape(plain(each.fix))}\n")
    for missed in report.not_looked:
        count = f" ({len(missed.checks)} checks)" if missed.checks else ""
        console.print(f"[yellow]not looked at{count}: {escape(plain(missed.why))}[/yellow]")
    found = f"{len(report.findings)} found" if report.findings else "nothing found"
    console.print(f"[bold]{found}[/bold] by {report.looked} of {len(CHECKS)} checks")
