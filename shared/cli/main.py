"""`facteur`: everything a person does with the system from a terminal."""

from dataclasses import dataclass
from typing import Annotated

import typer

from shared.cli.config import ConfigFile, config, environment
from shared.cli.demo import demo
from shared.cli.dev import dev
from shared.cli.dlq import dlq
from shared.cli.runner import runner
from shared.cli.token import token
from shared.domain.errors import FacteurError
from shared.postgres.migrations import migrate as apply_migrations
from shared.settings import SettingsError, env, load

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="facteur runs coding-agent tasks as containers under policy, and remembers what happened.",
)
app.command()(demo)
app.command()(dev)
app.add_typer(config, name="config")
app.add_typer(dlq, name="dlq")
app.add_typer(runner, name="runner")
app.add_typer(token, name="token")


@dataclass(frozen=True, kw_only=True)
class MigrateSettings:
    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN")


@app.command()
def migrate(
    dsn: Annotated[
        str, typer.Option(envvar="FACTEUR_POSTGRES_DSN", show_envvar=True, help="The database to migrate.")
    ] = "",
    file: ConfigFile = None,
) -> None:
    """Bring the database to the version of this program; safe to repeat and to run twice at once."""
    try:
        found = dsn or load(MigrateSettings, environment(file)).postgres_dsn
    except SettingsError as error:
        typer.echo(f"{error}: give a connection string there, or with --dsn", err=True)
        raise typer.Exit(2) from None
    try:
        applied = apply_migrations(found, typer.echo)
    except FacteurError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{len(applied)} applied" if applied else "nothing to apply: the database is up to date")


def main() -> None:
    """The entry point. Ctrl-C ends quietly with 130."""
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
