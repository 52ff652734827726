"""Ed25519 over timestamp and raw body, before anything of the body is parsed."""

import re

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from shared.domain.errors import Unauthenticated

_FRESH_SECONDS = 300


def verify(public_key: bytes, timestamp: str, signature: str, body: bytes, now: float) -> None:
    """Unauthenticated unless Discord signed this body within the last five minutes."""
    if not re.fullmatch(r"[0-9]{1,12}", timestamp) or not re.fullmatch(r"[0-9a-fA-F]{128}", signature):
        raise Unauthenticated("the signature headers are missing or malformed")
    if abs(now - int(timestamp)) > _FRESH_SECONDS:
        raise Unauthenticated("the timestamp is too old or too new")
    try:
        VerifyKey(public_key).verify(timestamp.encode() + body, bytes.fromhex(signature))
    except BadSignatureError:
        raise Unauthenticated("the signature is not valid") from None
