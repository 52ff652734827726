"""What an interaction is acknowledged with: the broker, and nothing that takes long to load."""

from functions.discord_interaction.settings import Settings
from shared.broker.publisher import HttpPublisher
from shared.settings import load

settings = load(Settings)
# Discord waits for three seconds in all; a broker that needs longer gets the event again, behind the answer.
publisher = HttpPublisher(settings.sink, timeout=1.0)


def ready() -> None:
    """An interaction is answered whatever is away, so this function is ready as soon as it runs.

    A database that is away, or not migrated yet, is waited for by what follows the answer.
    """
