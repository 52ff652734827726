"""`facteur memory forget`: memories go for ever, with everything that was made of them."""

import getpass
import hashlib
import sys
from typing import Annotated
from uuid import UUID

import typer

from shared.cli import forgetting as shown
from shared.cli.config import ConfigFile
from shared.cli.database import connected
from shared.cli.memory_settings import Dsn, settings
from shared.cli.terminal import fail, plain, refuse
from shared.domain.errors import Rejected
from shared.domain.forgetting import Choice, Forgotten, Found
from shared.domain.redaction import redact
from shared.postgres.memory_forgetting import PgMemoryForgetting
from shared.postgres.memory_retention import PgMemoryRetention
from shared.redis.vectors import RedisVectors

_PROMPTS_AT_ONCE = 100

Task = Annotated[str | None, typer.Option(metavar="ID", help="Everything of this task, and what it has yet to leave.")]
Caller = Annotated[str | None, typer.Option(help="Every task that this caller has asked for until now.")]
Source = Annotated[
    str | None,
    typer.Option(
        metavar="REF",
        help="Every task until now that is about this repository or issue, as owner/name or owner/name#12, or that "
        "came by this delivery id. Or the texts with this source, as answers from memory name it: the id of a "
        "snapshot, and with --task also `prompt` or `attempt 1`.",
    ),
]
Tenant = Annotated[str | None, typer.Option(help="Of this tenant alone. Needed if it is in several.")]
Purge = Annotated[
    bool,
    typer.Option("--purge-prompts", help="Take the memories out of prompt files that show it, once a run is over."),
]
By = Annotated[str | None, typer.Option("--by", help="Who is noted to have had it forgotten; else your login.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON, with nothing else on stdout.")]


def forget(
    task: Task = None,
    caller: Caller = None,
    source: Source = None,
    tenant: Tenant = None,
    purge_prompts: Purge = False,
    by: By = None,
    yes: Yes = False,
    json: Json = False,
    dsn: Dsn = "",
    file: ConfigFile = None,
) -> None:
    """Forget memories for ever, after showing what they are and which runs have seen them.

    What matches all of --task, --caller and --source goes, with the vectors that no other memory needs, and is not
    remembered again. The record of the tasks stays. Exit code 0 if it is forgotten, now or before; 1 if nothing
    matches, on a failure, or if you say no; 2 for wrong use, and where nobody can be asked.
    """
    found_settings, dsn = settings(dsn, file)
    choice = _choice(task, caller, source, tenant)
    with connected(dsn) as database:
        store = PgMemoryForgetting(database)
        found = store.find(choice)
        _check(found)
        if found.nothing and not purge_prompts:
            typer.echo(shown.as_json(shown.document(found)) if json else shown.NOTHING)
            return
        if not found.nothing:
            _confirm(found, yes, json)
        done = store.forget(choice, by or _login(), purge_prompts=purge_prompts)
        if purge_prompts:
            _purge(PgMemoryRetention(database))
        in_redis = _forget_in_redis(found_settings.redis_url, store, done)
        typer.echo(shown.as_json(shown.document(found, done, in_redis)) if json else shown.outcome(done, in_redis))


def _choice(task: str | None, caller: str | None, source: str | None, tenant: str | None) -> Choice:
    try:
        id_ = None if task is None else UUID(task)
    except ValueError:
        refuse("the id of a task is 32 hexadecimal digits")
    try:
        return Choice(id_, caller, source, tenant)
    except Rejected as error:
        refuse(str(error))


def _check(found: Found) -> None:
    if not found.matching:
        fail("nothing matches: there is no such task")
    if len(found.tenants) > 1:
        refuse(f"it is in several tenants, say which with --tenant: {', '.join(map(plain, found.tenants))}")


def _confirm(found: Found, yes: bool, json: bool) -> None:
    """Shows what is found, before anything is forgotten; as JSON it is shown afterwards."""
    can_be_asked = sys.stdin.isatty()
    if not json or (can_be_asked and not yes):
        typer.echo(shown.preview(found), err=json)
    if yes:
        return
    if not can_be_asked:
        if json:
            typer.echo(shown.as_json(shown.document(found)))
        refuse("nobody can be asked here: repeat it with --yes")
    typer.confirm("Forget it for ever?", abort=True, err=json)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def _purge(retention: PgMemoryRetention) -> None:
    """Purges what is due. After a crash in the middle, embedder's tick does the rest."""
    while retention.purge(_PROMPTS_AT_ONCE):
        pass


def _forget_in_redis(url: str | None, store: PgMemoryForgetting, done: Forgotten) -> bool | None:
    """Whether Redis has forgotten it too, and the prompts with which runs may have asked; None without Redis."""
    if url is None:
        return None
    prompts = [hashlib.sha256(redact(prompt).encode()).digest() for prompt in store.prompts(done.tasks)]
    return RedisVectors(url).forget(done.models, [*done.contents, *prompts])
