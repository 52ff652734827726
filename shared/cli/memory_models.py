"""`facteur memory models`: which models have made vectors, and of how much."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.cli.config import ConfigFile
from shared.cli.database import connected
from shared.cli.memory_settings import Dsn, settings
from shared.cli.terminal import plain, utc
from shared.postgres.memory_model_views import IndexView, ModelView, PgModelViews

# A file or a pipe has no width, and every column in one line.
_WIDE = 300


def models(dsn: Dsn = "", file: ConfigFile = None) -> None:
    """List the models that have made vectors: of how many texts, and with which index."""
    _, dsn = settings(dsn, file)
    with connected(dsn) as database:
        views = PgModelViews(database)
        found = [(model, views.index(model.model)) for model in views.models()]
    console = Console(soft_wrap=True, highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    console.print(_table(found) if found else "no model has made a vector yet")


def _table(found: list[tuple[ModelView, IndexView | None]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model", overflow="fold")
    for heading in ("state", "since"):
        table.add_column(heading, no_wrap=True)
    for heading in ("texts", "refused", "missing"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("index", no_wrap=True)
    for model, index in found:
        counts = (f"{number:,}" for number in (model.made, model.refused, model.missing))
        state = model.state or "unknown"
        table.add_row(
            escape(plain(model.model)), state, utc(model.since) if model.since else "", *counts, _index(index)
        )
    return table


def _index(index: IndexView | None) -> str:
    return f"{'valid' if index.valid else 'invalid'}, {index.bytes / 1e6:,.1f} MB" if index else "none"
