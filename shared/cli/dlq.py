"""`facteur dlq`: events that nobody could handle, to be looked at, sent again or forgotten."""

import math
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from shared.broker.publisher import HttpPublisher
from shared.cli import letters as shown
from shared.cli.database import connected
from shared.cli.terminal import fail, refuse
from shared.domain.dead_letter import Choice, DeadLetter
from shared.domain.errors import Rejected, Unavailable
from shared.events.catalogue import WORDS
from shared.postgres.dead_letters import PgDeadLetters, Redriven
from shared.postgres.outbox import A_ROUND, PgOutbox
from shared.setting_values import http_url

_SINCE = re.compile(r"([0-9]{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_ID = re.compile(r"[0-9a-f]{8,32}")

Dsn = Annotated[str, typer.Option(envvar="FACTEUR_POSTGRES_DSN", show_envvar=True, help="The database.")]
Sink = Annotated[str, typer.Option(envvar="K_SINK", show_envvar=True, help="The broker's ingress, to publish at once.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids, or their first 8 or more digits.")]
Type = Annotated[str | None, typer.Option("--type", help="Only events of this type, like task.requested.")]
Destination = Annotated[str | None, typer.Option(help="Only those whose destination has this in it.")]
Since = Annotated[str | None, typer.Option(help="Only those that came in the last 30m, 2h, 7d.")]
State = Annotated[Literal["waiting", "redriven"] | None, typer.Option(help="Only those in this state.")]
All = Annotated[bool, typer.Option("--all", help="All that the other options choose.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]

dlq = typer.Typer(no_args_is_help=True, help="Look at events that nobody could handle, and send them again.")


@dlq.command()
def ls(
    type_: Type = None,
    destination: Destination = None,
    since: Since = None,
    state: State = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    json: Json = False,
    dsn: Dsn = "",
) -> None:
    """List dead letters, the latest first."""
    choice = _choice(type_, destination, since, state)
    with connected(dsn) as database:
        store = PgDeadLetters(database)
        found, total = store.choose(choice, limit), store.count(choice)
    if json:
        typer.echo(shown.as_json([shown.document(letter) for letter in found]))
        return
    for letter in found:
        typer.echo(shown.brief(letter))
    if not found:
        typer.echo("no dead letters")
    elif len(found) < total:
        typer.echo(f"{len(found)} of {total}: --limit shows more")


@dlq.command()
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="An id, or its first 8 or more digits.")],
    json: Json = False,
    raw: Annotated[bool, typer.Option("--raw", help="With credentials and binary data, as it came.")] = False,
    dsn: Dsn = "",
) -> None:
    """Show one dead letter: its cause and its event."""
    with connected(dsn) as database:
        (letter,) = _named(PgDeadLetters(database), [letter_id])
    typer.echo(shown.as_json(shown.document_with_event(letter, raw)) if json else shown.whole(letter, raw))


@dlq.command()
def redrive(
    ids: Ids = None,
    everything: All = False,
    type_: Type = None,
    destination: Destination = None,
    since: Since = None,
    yes: Yes = False,
    sink: Sink = "",
    dsn: Dsn = "",
) -> None:
    """Send events again, as they were first sent. With --all, those that wait.

    The dispatcher's tick publishes them within 60 seconds; with a sink they are published at once.
    Whoever has handled such an event already takes no notice of it.
    """
    publisher = _publisher(sink) if sink else None
    choice = _choice(type_, destination, since, "waiting")
    with connected(dsn) as database:
        store = PgDeadLetters(database)
        chosen = _chosen(store, ids, everything, choice, narrowed=bool(type_ or destination or since))
        if everything and chosen:
            _confirm(f"Redrive {_letters(len(chosen))}?", yes)
        redriven = [one for letter in chosen if (one := store.redrive(letter))]
        published = _publish(publisher, PgOutbox(database), redriven) if publisher else 0
    _say_redriven(chosen, len(redriven), published)


@dlq.command()
def drop(
    ids: Ids = None,
    everything: All = False,
    type_: Type = None,
    destination: Destination = None,
    since: Since = None,
    state: State = None,
    yes: Yes = False,
    dsn: Dsn = "",
) -> None:
    """Forget dead letters for ever."""
    choice = _choice(type_, destination, since, state)
    with connected(dsn) as database:
        store = PgDeadLetters(database)
        narrowed = bool(type_ or destination or since or state)
        chosen = _chosen(store, ids, everything, choice, narrowed)
        if chosen:
            _confirm(f"Drop {_letters(len(chosen))} for ever?", yes)
        dropped = store.drop([letter.id for letter in chosen])
    typer.echo(f"dropped {_letters(dropped)}")


def _publisher(sink: str) -> HttpPublisher:
    try:
        return HttpPublisher(http_url(sink), timeout=10)
    except ValueError as error:
        refuse(f"K_SINK {error}")


def _choice(type_: str | None, destination: str | None, since: str | None, state: str | None) -> Choice:
    parts = _SINCE.fullmatch(since) if since else None
    if since and not parts:
        refuse("--since must be a number and s, m, h or d, like 2h")
    return Choice(
        types=(type_, *(name for name, word in WORDS.items() if word == type_)) if type_ else None,
        destination=destination,
        since_seconds=int(parts[1]) * _SECONDS[parts[2]] if parts else None,
        state=state,
    )


def _chosen(
    store: PgDeadLetters, ids: list[str] | None, everything: bool, choice: Choice, narrowed: bool
) -> Sequence[DeadLetter]:
    if bool(ids) == everything:
        refuse("give the ids of letters, or --all")
    if ids and narrowed:
        refuse("ids say which letters: other conditions go with --all")
    return _named(store, ids) if ids else store.choose(choice)


def _named(store: PgDeadLetters, ids: Sequence[str]) -> Sequence[DeadLetter]:
    """The letters with these ids, each once; the first id that is not exactly one letter's ends the command."""
    found: dict[object, DeadLetter] = {}
    for given in ids:
        digits = given.lower().replace("-", "")
        if not _ID.fullmatch(digits):
            refuse("an id is 8 to 32 hexadecimal digits: `facteur dlq ls` shows them")
        letters = store.beginning(digits)
        if not letters:
            fail(f"no dead letter has an id that begins with {digits}: `facteur dlq ls` shows them")
        if len(letters) > 1:
            both = " and ".join(str(letter.id) for letter in letters)
            fail(f"more than one dead letter has an id that begins with {digits}: {both}")
        found[letters[0].id] = letters[0]
    return list(found.values())


def _publish(publisher: HttpPublisher, outbox: PgOutbox, redriven: Sequence[Redriven]) -> int:
    """How many the broker took; one that is away is not asked again."""
    taken: list[str] = []
    for one in redriven:
        try:
            publisher.publish(one.event)
            taken.append(one.row)
        except Rejected:
            continue
        except Unavailable:
            break
    outbox.remove(taken)
    return len(taken)


def _say_redriven(chosen: Sequence[DeadLetter], redriven: int, published: int) -> None:
    typer.echo(f"redriven {_letters(redriven)}" + (f", {published} of them published at once" if published else ""))
    if waiting := redriven - published:
        minutes = math.ceil(waiting / A_ROUND)
        when = "within 60 seconds" if minutes == 1 else f"within {minutes} minutes"
        typer.echo(f"{waiting} in the outbox, to be published by the dispatcher's tick {when}")
    if redriven < len(chosen):
        typer.echo(f"{len(chosen) - redriven} left alone: redriven or dropped by somebody else at the same time")
    if unheard := sum(letter.type not in WORDS for letter in chosen):
        typer.echo(f"{unheard} of a type that no function hears: a trigger of your own must bring them somewhere")


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        refuse("nobody can be asked here: repeat it with --yes")
    typer.confirm(question, abort=True)


def _letters(number: int) -> str:
    return f"{number} dead letter{'' if number == 1 else 's'}"
