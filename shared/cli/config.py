"""`facteur config`: what is configured, without showing it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from functions.dispatcher.settings import Settings as DispatcherSettings
from shared import policy_file
from shared.settings import CONFIG_FILE, Found, SettingsError, load
from shared.settings import check as check_settings
from shared.web.serve import FUNCTIONS, ServerSettings, function_settings

config = typer.Typer(no_args_is_help=True, help="Look at the configuration.")

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help=f"A YAML file of settings; else the one that {CONFIG_FILE} names.")
]


def environment(file: Path | None) -> Mapping[str, str]:
    """The environment, with the file where one is given."""
    return os.environ if file is None else {**os.environ, CONFIG_FILE: str(file)}


@config.callback()
def _group() -> None:
    """Keeps `check` a command of its own name while it is the only one."""


@config.command()
def check(
    file: ConfigFile = None,
    function: Annotated[
        str | None, typer.Option(help=f"One function instead of all six: {', '.join(FUNCTIONS)}.")
    ] = None,
) -> None:
    """Check environment and file as the functions do at their start; never shows a value.

    Exit code 1 with every mistake, 0 with the settings that are set and where each comes from.
    """
    if function is not None and function not in FUNCTIONS:
        raise typer.BadParameter(f"must be one of {', '.join(FUNCTIONS)}", param_hint="--function")
    asked = [function] if function else FUNCTIONS
    try:
        found = check_settings([*map(function_settings, asked), ServerSettings], environment(file))
        if "dispatcher" in asked:
            _check_policy(environment(file))
    except SettingsError as error:
        for mistake in error.mistakes:
            typer.echo(f"- {mistake}", err=True)
        raise typer.Exit(1) from None
    Console(soft_wrap=True, highlight=False).print(_table(found))


def _check_policy(environ: Mapping[str, str]) -> None:
    """SettingsError names every mistake of the policy."""
    named = load(DispatcherSettings, environ).policy_file
    try:
        if named:
            policy_file.read(named)
    except ValueError as error:
        raise SettingsError([f"the policy file {error}"]) from None


def _table(found: list[Found]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("setting", "key", "from"):
        table.add_column(heading, no_wrap=True)
    for setting in found:
        table.add_row(setting.variable, setting.key or "", setting.origin)
    return table
