"""`facteur`: everything a person does with the system from a terminal."""

from typing import Annotated

import typer

from shared.cli.demo import demo
from shared.cli.dev import dev
from shared.domain.errors import FacteurError
from shared.postgres.migrations import migrate as apply_migrations

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="facteur runs coding-agent tasks as containers under policy, and remembers what happened.",
)
app.command()(demo)
app.command()(dev)


@app.command()
def migrate(
    dsn: Annotated[
        str, typer.Option(envvar="FACTEUR_POSTGRES_DSN", show_envvar=True, help="The database to migrate.")
    ] = "",
) -> None:
    """Bring the database to the version of this program; safe to repeat and to run twice at once."""
    if not dsn:
        typer.echo("FACTEUR_POSTGRES_DSN is not set: give a connection string there or with --dsn", err=True)
        raise typer.Exit(2)
    try:
        applied = apply_migrations(dsn, typer.echo)
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
