"""`facteur migrate`: the schema of the database, and what the roles of functions may do in it."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from shared.cli.config import ConfigFile, environment
from shared.cli.terminal import fail, refuse
from shared.cli.waiting import seconds, until_there
from shared.domain.errors import FacteurError
from shared.postgres import migrations
from shared.postgres.roles import RoleError, as_role, as_they_are, generated, required
from shared.settings import SettingsError, env, load


@dataclass(frozen=True, kw_only=True)
class MigrateSettings:
    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN")


def migrate(
    dsn: Annotated[
        str, typer.Option(envvar="FACTEUR_POSTGRES_DSN", show_envvar=True, help="The database to migrate.")
    ] = "",
    create_roles: Annotated[
        bool, typer.Option(help="Make the roles of functions that are missing, and print a Secret for each, once.")
    ] = False,
    require_roles: Annotated[
        bool, typer.Option(help="Fail while a role of a function is missing: made later, it would have no grants.")
    ] = False,
    revoke: Annotated[
        bool, typer.Option(help="Take away what roles have beyond their needs, once no earlier release runs.")
    ] = False,
    wait: Annotated[
        float,
        typer.Option(parser=seconds, metavar="TIME", help="Wait so long for server, roles and turn, such as 30m."),
    ] = "0s",  # type: ignore[assignment]  # the parser reads the default as well
    file: ConfigFile = None,
) -> None:
    """Bring the database to the version of this program; safe to repeat and to run twice at once.

    The roles of functions that the server has get what they need. What they have beyond that is told, and stays.
    """
    try:
        found = dsn or load(MigrateSettings, environment(file)).postgres_dsn
    except SettingsError as error:
        refuse(f"{error}: give a connection string there, or with --dsn")
    # With Secrets to print, the output is theirs.
    say = partial(typer.echo, err=create_roles)
    roles = generated(partial(_print, found)) if create_roles else required if require_roles else as_they_are
    patience = max(wait, migrations.PATIENCE_SECONDS)
    work = partial(migrations.migrate, found, say, patience, roles, revoke)
    try:
        applied = until_there(work, wait, say)
    except FacteurError as error:
        fail(str(error))
    say(f"{len(applied)} applied" if applied else "nothing to apply: the database is up to date")


def _print(dsn: str, passwords: Mapping[str, str]) -> None:
    """Secrets as `kubectl apply -f -` takes them; none for roles that were there."""
    if not passwords:
        return
    secrets = [_secret(function, as_role(dsn, function, password)) for function, password in passwords.items()]
    try:
        typer.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": secrets}, indent=2))
        sys.stdout.flush()
    except OSError:
        raise RoleError("the Secrets could not be written: no role was made") from None


def _secret(function: str, dsn: str) -> Mapping[str, object]:
    name = {"name": f"facteur-postgres-{function}"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": name, "stringData": {"dsn": dsn}}
