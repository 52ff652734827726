"""What commands say on a terminal, and how they end."""

from datetime import UTC, datetime
from typing import NoReturn

import typer

FAILED, WRONG_USE = 1, 2


def fail(sentence: str) -> NoReturn:
    """The command could not do it."""
    typer.echo(sentence, err=True)
    raise typer.Exit(FAILED)


def refuse(sentence: str) -> NoReturn:
    """The command is used wrongly."""
    typer.echo(sentence, err=True)
    raise typer.Exit(WRONG_USE)


def plain(text: str) -> str:
    """Text is whatever somebody wrote or sent: nothing of it steers a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def utc(at: datetime) -> str:
    """A time to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
