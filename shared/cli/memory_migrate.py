"""`facteur memory migrate`: another model makes the vectors, while the ones that are there are searched."""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from shared.cli.config import ConfigFile
from shared.cli.database import connected
from shared.cli.memory_settings import Dsn, MemorySettings, settings
from shared.cli.steps import Steps
from shared.cli.terminal import refuse
from shared.domain.errors import Conflict
from shared.embeddings import embedder, is_offline
from shared.embeddings.absent import AbsentEmbedder
from shared.embeddings.batches import BYTES_PER_TOKEN
from shared.embeddings.coalescing import Coalescing
from shared.embeddings.offline import DEFAULT_DIMENSION, MODEL
from shared.postgres.memory_indexes import PgMemoryIndexes
from shared.postgres.memory_migration import Held, PgMigration, alone
from shared.postgres.memory_model_views import PgModelViews
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.memory_search import PgMemorySearch
from shared.redis.connection import Connection
from shared.redis.fresh_vectors import RedisFreshVectors
from shared.redis.pace import RedisPace

if TYPE_CHECKING:
    from shared.cli.migration_parts import Parts

_STOPPED = 130
# As many numbers as an index of vectors may have, and what models have by themselves.
_MOST_DIMENSIONS = 4000
_DIMENSIONS = {"text-embedding-3-large": 3072, "text-embedding-3-small": 1536, MODEL: DEFAULT_DIMENSION}
_NAME = re.compile(r"[!-~]{1,200}")

To = Annotated[str, typer.Option(metavar="MODEL[:DIM]", help="The model that shall be in use, and its dimension.")]
Abandon = Annotated[bool, typer.Option("--abandon", help="Give up the migration that was begun.")]
LeastRecall = Annotated[
    float, typer.Option("--least-recall", min=0, max=1, help="Switch only if so much of the nearest is found.")
]
Questions = Annotated[
    int, typer.Option("--questions", min=1, max=10_000, help="Texts that are asked for, to tell how much that is.")
]
KeepOld = Annotated[bool, typer.Option("--keep-old", help="Keep the vectors of models that are not in use.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def migrate(
    to: To = "",
    abandon: Abandon = False,
    least_recall: LeastRecall = 0.98,
    questions: Questions = 100,
    keep_old: KeepOld = False,
    yes: Yes = False,
    dsn: Dsn = "",
    file: ConfigFile = None,
) -> None:
    """Change the model whose vectors are searched, while they are searched.

    Every text gets its vector, the vectors get an index, and a sample is compared with an exact search; only then
    is the model in use, and what others have made is dropped. Stopped at any moment, the same command goes on.
    """
    if bool(to) == abandon:
        refuse("give a model with --to, or --abandon")
    found, dsn = settings(dsn, file)
    if abandon:
        _with_parts(dsn, lambda run: _abandon(run, keep_old))
        return
    model = model_name(to)
    coalescing = _coalescing(model, found)

    def work(run: "_Run") -> None:
        from shared.cli.model_migration import ModelMigration

        _agree(run, model, yes)
        with Steps(run.console) as steps:
            ModelMigration(run.parts, coalescing, run.held, steps).run(least_recall, questions, keep_old)
        run.console.print(f"{model} is in use", markup=False)

    _with_parts(dsn, work)


@dataclass(frozen=True)
class _Run:
    """Where one command works, alone."""

    parts: "Parts"
    held: Held
    console: Console


def _with_parts(dsn: str, work: Callable[[_Run], None]) -> None:
    with connected(dsn) as database, _stopped_quietly(), alone(dsn) as held:
        # With it comes openai, which takes 0.6 s to import.
        from shared.cli.migration_parts import Parts

        parts = Parts(
            PgMigration(database),
            PgMemoryModels(database),
            PgModelViews(database),
            PgMemorySearch(database),
            lambda name: PgMemoryIndexes(dsn, name),
        )
        work(_Run(parts, held, Console(soft_wrap=True, highlight=False)))


def model_name(given: str) -> str:
    """Name and dimension as `name:3072`; what is no model's name ends the command."""
    name, _, digits = given.rpartition(":")
    if not re.fullmatch("[0-9]{1,4}", digits) or not name:
        name, digits = given, str(_dimension(given))
    if not _NAME.fullmatch(name):
        refuse("a model has a name of at most 200 visible characters, like text-embedding-3-small")
    if not 1 <= int(digits) <= _MOST_DIMENSIONS:
        refuse(f"a vector has from 1 to {_MOST_DIMENSIONS} dimensions")
    return f"{name}:{int(digits)}"


def _dimension(name: str) -> int:
    """What the model has where none is given."""
    offline = re.fullmatch(f"{re.escape(MODEL)}-([0-9]{{1,4}})", name)
    if name not in _DIMENSIONS and not offline:
        refuse("give the dimension of the model as well, like text-embedding-3-large:1024")
    return int(offline[1]) if offline else _DIMENSIONS[name]


def _coalescing(model: str, found: MemorySettings) -> Coalescing:
    """With the pace that embedder keeps, too; no way to ask the model ends the command."""
    made_by = embedder(model, found.api_key, found.base_url)
    if isinstance(made_by, AbsentEmbedder):
        refuse(made_by.describe())
    redis = Connection(None if is_offline(model) else found.redis_url)
    return Coalescing(made_by, RedisPace(redis, model), RedisFreshVectors(redis), gather=0.0)


def _agree(run: _Run, model: str, yes: bool) -> None:
    """Says what it takes, and asks where that costs money; where nobody can be asked, the command ends."""
    states = run.parts.store.states()
    filling = next((name for name, state in states.items() if state == "filling" and name != model), None)
    if filling:
        raise Conflict(
            f"{filling} is on its way: go on with it by `facteur memory migrate --to {filling}`,"
            " or give it up by `facteur memory migrate --abandon`"
        )
    texts, size = run.parts.store.missing_size(model)
    tokens = size // BYTES_PER_TOKEN
    run.console.print(f"{model}: {texts:,} texts to embed, about {tokens:,} tokens", markup=False)
    if not texts or yes or is_offline(model):
        return
    if not sys.stdin.isatty():
        refuse("that may cost money, and nobody can be asked here: agree to it with --yes")
    typer.confirm("Go on?", abort=True)


def _abandon(run: _Run, keep_old: bool) -> None:
    from shared.cli.migration_parts import drop_retired

    if not run.parts.store.give_up():
        raise Conflict("no migration was begun")
    with Steps(run.console) as steps:
        if not keep_old:
            drop_retired(run.parts, steps)
    run.console.print("given up", markup=False)


@contextmanager
def _stopped_quietly() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the command with a sentence; what was done stays."""

    def stop(_: int, __: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("stopped: the same command goes on from here", err=True)
        raise typer.Exit(_STOPPED) from None
    finally:
        signal.signal(signal.SIGTERM, before)
