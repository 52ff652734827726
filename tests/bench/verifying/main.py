"""An interaction is verified and acknowledged, and nothing else, as Discord's own documentation would have it."""

import os

import functions_framework
from flask import Request, Response
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

_KEY = VerifyKey(bytes.fromhex(os.environ["FACTEUR_DISCORD_PUBLIC_KEY"]))


@functions_framework.http
def handle(request: Request) -> Response | dict[str, int]:
    timestamp = request.headers["X-Signature-Timestamp"].encode()
    try:
        _KEY.verify(timestamp + request.get_data(), bytes.fromhex(request.headers["X-Signature-Ed25519"]))
    except BadSignatureError:
        return Response(status=401)
    return {"type": 5}
