"""Groups of settings of discord-interaction."""

from dataclasses import dataclass

from shared.web.caller_settings import CallerSettings


@dataclass(frozen=True, kw_only=True)
class EventCallers(CallerSettings):
    """Who may post commands: nobody, where nobody is named. What Discord itself sends is signed."""

    def __post_init__(self) -> None:
        """Nothing has to be set."""
