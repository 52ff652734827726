"""`facteur dev`: the local twin, kept running until it is told to stop."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated, Protocol

import typer
from rich.console import Console
from rich.markup import escape

from shared.domain.errors import FacteurError
from shared.local.twin import Twin, TwinInfo, TwinSettings

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WRONG_USE = 2


def dev(
    state: Annotated[Path, typer.Option(help="Folder of databases, logs and secrets.")] = Path(".facteur"),
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the URL; else the last one, or a free one.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the state and start anew.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log more, and list every process.")] = False,
) -> None:
    """Run the whole system on this machine: six functions, broker, PostgreSQL, Redis, one URL."""
    console = Console(soft_wrap=True, highlight=False)
    settings = TwinSettings(state, port, fresh, log_level="DEBUG" if verbose else "INFO")
    twin = Twin(settings, said=lambda sentence: say(console, escape(sentence)))
    try:
        with contextlib.suppress(KeyboardInterrupt), stopped_by_signals(twin) as told:
            say(console, "starting…")
            info = twin.start()
            show(console, info, verbose)
            told.wait()
        say(console, "stopped")
    except FacteurError as error:
        say(Console(stderr=True, soft_wrap=True, highlight=False), f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(WRONG_USE) from None


class Stoppable(Protocol):
    """What a twin is to the signals."""

    def stop(self) -> None: ...
    def hurry(self) -> None: ...


@contextlib.contextmanager
def stopped_by_signals(twin: Stoppable) -> Iterator[threading.Event]:
    """The first signal ends the block by KeyboardInterrupt and stops the twin; a second one hurries it.

    What is raised within a finalizer Python ignores: a block that waits does so for the event, which is set then too.
    """
    told = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if told.is_set():
            twin.hurry()
        else:
            told.set()
            raise KeyboardInterrupt

    before = {number: signal.signal(number, on_signal) for number in STOP_SIGNALS}
    try:
        yield told
    finally:
        told.set()
        twin.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def show(console: Console, info: TwinInfo, verbose: bool = False) -> None:
    """Where everything is, for people."""
    facts = {
        "URL": info.url,
        "API token": info.api_token,
        "broker": info.broker_url,
        "PostgreSQL": info.dsn,
        "Redis": info.redis_url,
        "logs": str(info.logs),
    }
    ports = {name: f"127.0.0.1:{port}" for name, port in info.ports.items()} if verbose else {}
    for name, value in (facts | ports).items():
        say(console, f"[bold]{name:<20}[/bold] {escape(value)}")
    task = '\'{"prompt": "Say hello"}\''
    say(console, "\nTry:")
    say(
        console,
        f"  curl -H 'Authorization: Bearer {info.api_token}' -d {escape(task)} {info.url}/v1/codex/tasks",
    )
    say(
        console,
        "\nSome tasks are shown no memories, to learn whether they help: FACTEUR_MEMORY_HOLDOUT_SHARE=0 shows all.",
    )
    say(console, "\nCtrl-C stops everything.")


def say(console: Console, text: str) -> None:
    """Print it; a terminal that is gone must not keep the twin from being stopped."""
    with contextlib.suppress(OSError):
        console.print(text)
