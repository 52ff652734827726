"""Puts discord-interaction together. Nothing connects before the first interaction."""

from functions.discord_interaction.interact import Interact
from functions.discord_interaction.settings import Settings
from shared.broker.publisher import HttpPublisher
from shared.settings import load

settings = load(Settings)
interact = Interact(HttpPublisher(settings.sink), settings.role_map)


def ready() -> None:
    """An interaction is answered whatever is away, so this function is ready as soon as it runs."""
