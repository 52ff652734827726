"""`facteur discord`: commands are registered with Discord, and interactions are tried without it."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import urllib3

from functions.discord_interaction.commands import COMMANDS
from shared.cli.config import ConfigFile, environment
from shared.cli.terminal import fail, refuse
from shared.discord.client import DiscordApi
from shared.discord.settings import DiscordSettings
from shared.domain.errors import FacteurError
from shared.local.discord import (
    AUTOCOMPLETE,
    CHANNEL,
    COMMAND,
    COMPONENT,
    GUILD,
    MODAL,
    PING,
    Person,
    click,
    command,
    filled,
    interaction,
    signed,
)
from shared.local.state import CannotStart, discord_address
from shared.settings import SettingsError, load

discord = typer.Typer(no_args_is_help=True, help="Register the commands with Discord, and try them without it.")

# As long as Discord waits, and a bit: who is late is shown how late.
_PATIENCE_SECONDS = 10.0


@discord.command()
def register(
    guild: Annotated[
        str | None, typer.Option(help="The guild to register for, at once; else FACTEUR_DISCORD_GUILD_ID, else all.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be sent, and send nothing.")] = False,
    file: ConfigFile = None,
) -> None:
    """Replace the application's commands by those of this version; safe to repeat.

    FACTEUR_DISCORD_APPLICATION_ID and FACTEUR_DISCORD_BOT_TOKEN say for which application.
    """
    if dry_run:
        typer.echo(json.dumps(COMMANDS, indent=2, ensure_ascii=False))
        return
    try:
        settings = load(DiscordSettings, environment(file))
    except SettingsError as error:
        refuse(str(error))
    where = guild or settings.guild_id
    try:
        DiscordApi(settings.api_url, settings.application_id, settings.bot_token).register(COMMANDS, where)
    except FacteurError as error:
        fail(str(error))
    names = ", ".join(f"/{said['name']}" for said in COMMANDS)
    typer.echo(f"registered {names} {f'in guild {where}' if where else 'everywhere'}")


@discord.command()
def simulate(
    words: Annotated[
        list[str], typer.Argument(help="The command and its options: codex implement prompt='Fix it'; or: ping.")
    ],
    complete: Annotated[str | None, typer.Option(help="Ask for proposals for this option instead.")] = None,
    button: Annotated[bool, typer.Option("--button", help="WORDS is the custom_id of a button: press it.")] = False,
    modal: Annotated[
        bool, typer.Option("--modal", help="WORDS is a modal's custom_id and its fields: send it.")
    ] = False,
    user: Annotated[str, typer.Option(help="Who does it.")] = Person().user_id,
    role: Annotated[list[str] | None, typer.Option(help="A role that they have. Repeatable.")] = None,
    channel: Annotated[str, typer.Option(help="In which channel.")] = CHANNEL,
    private: Annotated[bool, typer.Option("--private", help="In a direct message.")] = False,
    url: Annotated[str | None, typer.Option(help="The function; else the local twin.")] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="The file of the Ed25519 seed to sign with, 64 hex digits; else the twin's.")
    ] = None,
    state: Annotated[Path, typer.Option(help="The folder of the local twin.")] = Path(".facteur"),
) -> None:
    """Sign an interaction as Discord does, post it to a running function, and print the answer.

    The local twin shows what follows at /discord of its URL; the real Discord knows nothing of this interaction.
    """
    names, options = _parsed(words)
    who = Person(user, role or (), None if private else GUILD, channel)
    sent = interaction(*_asked(names, options, complete, button, modal), who)
    address, seed = _address(url, key_file, state)
    body, headers = signed(seed, sent)
    http = urllib3.PoolManager(retries=False, timeout=_PATIENCE_SECONDS)
    try:
        got = http.request("POST", f"{address}/interactions", body=body, headers=headers)
    except urllib3.exceptions.HTTPError as error:
        fail(f"nobody answers at {address} ({type(error).__name__})")
    typer.echo(_readable(got.data))
    if got.status != 200:
        fail(f"answered {got.status}")


def _parsed(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Names come first, then options as name=value."""
    names = [word for word in words if "=" not in word]
    options = dict(word.split("=", 1) for word in words if "=" in word)
    if not names or list(words[: len(names)]) != names or "" in options:
        refuse("write the command first, then its options as name=value")
    return names, options


def _asked(
    names: Sequence[str], options: Mapping[str, str], complete: str | None, button: bool, modal: bool
) -> tuple[int, dict[str, Any]]:
    """The type of the interaction, and its data."""
    if button:
        return COMPONENT, click(names[0])
    if modal:
        return MODAL, filled(names[0], options)
    if names == ["ping"]:
        return PING, {}
    if complete is None:
        return COMMAND, command(names, options)
    return AUTOCOMPLETE, command(names, {complete: "", **options}, complete)


def _address(url: str | None, key_file: Path | None, state: Path) -> tuple[str, str]:
    """The function's URL and the seed; of the twin where they are not given."""
    if url and key_file:
        return url.rstrip("/"), _seed(key_file)
    try:
        address, seed = discord_address(state)
    except CannotStart as error:
        refuse(str(error))
    return (url or address).rstrip("/"), _seed(key_file) if key_file else seed


def _seed(path: Path) -> str:
    try:
        seed = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        refuse(f"{path} cannot be read")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", seed):
        refuse(f"{path} must hold a seed of 64 hex digits")
    return seed


def _readable(data: bytes) -> str:
    try:
        return json.dumps(json.loads(data), indent=2)
    except ValueError:
        return ""
