"""`facteur memory index`: the owner of the database makes what functions may not."""

import typer

from shared.cli.config import ConfigFile
from shared.cli.database import connected
from shared.cli.memory_settings import Dsn, settings
from shared.postgres.memory_indexes import PgMemoryIndexes
from shared.postgres.memory_models import PgMemoryModels


def index(dsn: Dsn = "", file: ConfigFile = None) -> None:
    """Make the index of the model in use if it has vectors enough and none; as the owner of the database.

    To be repeated now and then: it looks, and makes the index when the time has come. Nobody waits for it meanwhile.
    """
    _, dsn = settings(dsn, file)
    with connected(dsn) as database:
        model = PgMemoryModels(database).active()
        if model is None:
            typer.echo("no model is in use yet")
        elif PgMemoryIndexes(dsn, model).finish():
            typer.echo(f"{model} has the index that it needs")
        else:
            typer.echo("another process is making an index")
