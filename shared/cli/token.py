"""`facteur token`: API tokens in a file that the functions read anew when it changes."""

import contextlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from shared import token_file
from shared.cli.terminal import fail, plain, refuse, utc
from shared.domain.token import SCOPES, parse_callers, token_sha256
from shared.settings import SettingsError, env, load

token = typer.Typer(no_args_is_help=True, help="Make, list and revoke API tokens.")

ID_DIGITS = 8
_VARIABLE = "FACTEUR_API_TOKENS_FILE"
TokenFile = Annotated[Path | None, typer.Option("--file", help=f"The file of tokens; else what {_VARIABLE} names.")]


@dataclass(frozen=True, kw_only=True)
class TokenFileSettings:
    """Unlike a function's, this file need not be there yet."""

    path: Path | None = env(_VARIABLE, Path, default=None)


@token.command()
def new(
    caller: Annotated[str, typer.Option(help="Who will use it; shown with every task.")],
    scope: Annotated[list[str], typer.Option(help=f"What it may do: {', '.join(sorted(SCOPES))}. Repeatable.")],
    tenant: Annotated[str, typer.Option(help="Whose tasks and memory it sees.")] = "default",
    file: TokenFile = None,
) -> None:
    """Make a token, print it once, and keep its hash in the file.

    Without a file the entry for it is printed to stderr, to be put into FACTEUR_API_TOKENS.
    """
    secret = f"fca_{secrets.token_urlsafe(32)}"
    entry = {
        "caller": caller,
        "sha256": token_sha256(secret).hex(),
        "scopes": sorted(set(scope)),
        "tenant": tenant,
        "created": utc(datetime.now(UTC)),
    }
    try:
        parse_callers([entry])
    except ValueError as error:
        refuse(f"the token {error}")
    path = _file(file)
    if path is None:
        typer.echo("no file is named, so nothing was kept. The entry of this token, for the JSON list:", err=True)
        typer.echo(json.dumps(entry), err=True)
    else:
        with _told(path), token_file.changed(path) as entries:
            entries.append(entry)
        typer.echo(f"kept in {path}; the token itself is shown this once:", err=True)
    typer.echo(secret)


@token.command("list")
def list_tokens(file: TokenFile = None) -> None:
    """Show the tokens of the file: ids and callers, never a token."""
    path = _needed(file)
    with _told(path):
        entries = token_file.read(path)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "caller", "scopes", "tenant", "created"):
        table.add_column(heading, no_wrap=True)
    digits = _distinct_digits([entry["sha256"] for entry in entries])
    for entry in entries:
        scopes, tenant = " ".join(entry["scopes"]), entry.get("tenant", "default")
        cells = (entry["sha256"][:digits], entry["caller"], scopes, tenant, entry.get("created", ""))
        table.add_row(*map(plain, cells))
    Console(soft_wrap=True, highlight=False, markup=False).print(table)


@token.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `facteur token list` shows.")],
    file: TokenFile = None,
) -> None:
    """Remove a token from the file: at once it is refused."""
    wanted = token_id.lower()
    if len(wanted) < ID_DIGITS or not set(wanted) <= set("0123456789abcdef"):
        refuse(f"an id has at least {ID_DIGITS} hex digits: see `facteur token list`")
    path = _needed(file)
    with _told(path):
        token_file.read(path)  # one that is not there must not be made
        with token_file.changed(path) as entries:
            found = [entry for entry in entries if entry["sha256"].startswith(wanted)]
            if len(found) != 1:
                fail("no token has this id" if not found else "several tokens begin like this: give more of the id")
            entries.remove(found[0])
    typer.echo(f"revoked {found[0]['sha256'][:ID_DIGITS]}")


def _distinct_digits(hashes: list[str]) -> int:
    """How many digits tell all hashes apart."""
    return next((n for n in range(ID_DIGITS, 64) if len({digest[:n] for digest in hashes}) == len(hashes)), 64)


def _file(given: Path | None) -> Path | None:
    try:
        return given or load(TokenFileSettings).path
    except SettingsError as error:
        refuse(str(error))


def _needed(given: Path | None) -> Path:
    path = _file(given)
    if path is None:
        refuse(f"{_VARIABLE} is not set: name the file there or with --file")
    return path


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        fail(f"{path} {error}")
    except OSError as error:
        fail(f"{path} cannot be written: {(error.strerror or 'unknown').lower()}")
