"""Messages as Discord's API takes them."""

from typing import Any

from shared.domain.discord import Message, fitted

_SUPPRESS_EMBEDS, _EPHEMERAL = 1 << 2, 1 << 6


def body(message: Message) -> dict[str, Any]:
    """The JSON body: it mentions nobody, unfolds no link, and has at most 2,000 characters."""
    return {
        "content": fitted(message.content),
        "components": list(message.components),
        "allowed_mentions": {"parse": []},
        "flags": _SUPPRESS_EMBEDS | (_EPHEMERAL if message.ephemeral else 0),
    }
