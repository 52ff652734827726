"""The door for Discord itself: an interaction is believed by its signature, and acknowledged before anything else."""

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Request, Response

from functions.discord_interaction import door_wiring
from functions.discord_interaction.after import Briefly
from functions.discord_interaction.interact import Interact, Rules, too_busy
from functions.discord_interaction.interaction import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL, PING, Interaction
from functions.discord_interaction.settings import Settings
from functions.discord_interaction.signature import verify
from functions.discord_interaction.wishes import Errand
from shared import telemetry
from shared.domain.errors import Unauthenticated
from shared.web.deferred import Deferred
from shared.web.edge import document
from shared.web.requests import parse_json, read_body

if TYPE_CHECKING:
    from functions.discord_interaction import wiring
else:
    wiring = Deferred("functions.discord_interaction.wiring")  # drivers are loaded behind the acknowledgement

_KINDS: Mapping[int, str] = MappingProxyType(
    {PING: "ping", COMMAND: "command", COMPONENT: "component", AUTOCOMPLETE: "autocomplete", MODAL: "modal"}
)


class Door:
    """Handler of interactions. `take` has an errand run later, and says whether it will."""

    def __init__(self, settings: Settings, take: Callable[[Errand], bool]) -> None:
        self._settings = settings
        self._take = take
        rules = Rules(settings.role_map, settings.token_keys, settings.ephemeral, settings.discord.guild_id)
        self._interact = Interact(door_wiring.publisher, _Look(), rules)

    def interactions(self, request: Request) -> Response:
        began = time.perf_counter()
        body = read_body(request)
        timestamp = request.headers.get("X-Signature-Timestamp", "")
        signature = request.headers.get("X-Signature-Ed25519", "")
        try:
            verify(self._settings.public_key, timestamp, signature, body, time.time())
        except Unauthenticated:
            # Discord probes with wrong signatures and expects a plain 401.
            return Response(status=401)
        interaction = parse_json(body, Interaction)
        reply = self._interact(interaction, telemetry.traceparent(), time.time())
        answer = reply.body
        if reply.errand and not self._take(reply.errand):
            answer = too_busy(reply.errand)
        kind = _KINDS.get(interaction.type, "")
        telemetry.measure("facteur_discord_ack_duration_ms", 1000 * (time.perf_counter() - began), kind=kind)
        return document(answer)


class _Look:
    """Looks into the store for a second at most."""

    def __init__(self) -> None:
        self._briefly = Briefly()

    def choices(self, option: str, typed: str, user_id: str, guild_id: str) -> Sequence[tuple[str, str]]:
        return self._briefly(lambda: wiring.choices.of(option, typed, f"discord:{user_id}", guild_id), [])

    def original(self, task: UUID) -> Mapping[str, str] | None:
        return self._briefly(lambda: wiring.choices.original(task), None)
