"""`CommandEvent` deliveries: slash commands that the earlier system's webhook service received."""

from google.protobuf.message import DecodeError

from shared.domain.errors import Malformed
from shared.events.protobuf.proompteng.facteur.v1.contract_pb2 import CommandEvent


def parse(body: bytes) -> CommandEvent:
    """Malformed, in the words of the earlier system, if it is none."""
    if not body:
        raise Malformed("empty payload")
    try:
        return CommandEvent.FromString(body)
    except DecodeError:
        raise Malformed("invalid payload") from None


def without_token(body: bytes) -> bytes | None:
    """The delivery as it may be kept; None for one that cannot be read, for a token may be anywhere in it."""
    try:
        event = CommandEvent.FromString(body)
    except DecodeError:
        return None
    event.ClearField("token")
    event.DiscardUnknownFields()  # type: ignore[no-untyped-call]
    return event.SerializeToString(deterministic=True)
