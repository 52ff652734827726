"""`facteur`: everything a person does with the system from a terminal."""

import typer

from shared.cli.config import config
from shared.cli.demo import demo
from shared.cli.dev import dev
from shared.cli.discord import discord
from shared.cli.dlq import dlq
from shared.cli.doctor import doctor
from shared.cli.memory import memory
from shared.cli.migrate import migrate
from shared.cli.runner import runner
from shared.cli.sandbox import sandbox
from shared.cli.token import token

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="facteur runs coding-agent tasks as containers under policy, and remembers what happened.",
)
app.command()(demo)
app.command()(dev)
app.command()(doctor)
app.command()(migrate)
app.command()(sandbox)
app.add_typer(config, name="config")
app.add_typer(discord, name="discord")
app.add_typer(dlq, name="dlq")
app.add_typer(memory, name="memory")
app.add_typer(runner, name="runner")
app.add_typer(token, name="token")


def main() -> None:
    """The entry point. Ctrl-C ends quietly with 130."""
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
