"""discord-interaction.

In:     POST /interactions (signed by Discord)
Out:    task.requested
Writes: nothing
"""

import time

import functions_framework
from flask import Request, Response

from functions.discord_interaction import wiring
from functions.discord_interaction.interaction import Interaction
from functions.discord_interaction.signature import verify
from shared import telemetry
from shared.domain.errors import Unauthenticated
from shared.web.edge import Edge, document
from shared.web.requests import parse_json, read_body

edge = Edge("discord-interaction", wiring.ready)


@edge.route("POST", "/interactions")
def interactions(request: Request) -> Response:
    body = read_body(request)
    timestamp = request.headers.get("X-Signature-Timestamp", "")
    signature = request.headers.get("X-Signature-Ed25519", "")
    try:
        verify(wiring.settings.public_key, timestamp, signature, body, time.time())
    except Unauthenticated:
        # Discord probes with wrong signatures and expects a plain 401.
        return Response(status=401)
    return document(wiring.interact(parse_json(body, Interaction), telemetry.traceparent()))


@functions_framework.http
def handle(request: Request) -> Response:
    return edge(request)
