"""What functions of a twin write to Discord, kept and shown: for people without a Discord application.

It is no Discord: it knows no limits, no rights and no end of an interaction.
"""

import json
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from aiohttp import web

from shared.local.discord import API, CHANNEL, PAGE, snowflake

BODY_BYTES = 64 * 1024
MOST_MESSAGES = 200
_FURTHER = {"id", "channel_id"}

Message = dict[str, Any]


class StandIn:
    """Messages by their place: the original of an interaction, or one of a channel."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._messages: OrderedDict[str, Message] = OrderedDict()

    def serve(self, router: web.UrlDispatcher) -> None:
        """Adds the page, and the part of Discord's API that functions use."""
        router.add_get(PAGE, self._page)
        router.add_patch(f"{API}/webhooks/{{app}}/{{token}}/messages/@original", self._edit_original)
        router.add_post(f"{API}/channels/{{channel}}/messages", self._send)
        router.add_patch(f"{API}/channels/{{channel}}/messages/{{message}}", self._edit)
        router.add_post(f"{API}/channels/{{channel}}/messages/{{message}}/threads", self._start_thread)

    async def _edit_original(self, request: web.Request) -> web.Response:
        return await self._write(request, f"of {request.match_info['token']}")

    async def _edit(self, request: web.Request) -> web.Response:
        known = (key for key, message in self._messages.items() if message["id"] == request.match_info["message"])
        return await self._write(request, next(known, request.match_info["message"]))

    async def _send(self, request: web.Request) -> web.Response:
        return await self._write(request, snowflake(self._now()))

    async def _start_thread(self, request: web.Request) -> web.Response:
        return web.json_response({"id": request.match_info["message"]}, status=201)

    async def _write(self, request: web.Request, key: str) -> web.Response:
        if (request.content_length or 0) > BODY_BYTES:
            return web.json_response({"message": "Request entity too large", "code": 40005}, status=413)
        try:
            said = json.loads(await request.read())
        except ValueError:
            said = None
        if not isinstance(said, dict):
            return web.json_response({"message": "Invalid Form Body", "code": 50035}, status=400)
        place = {"id": snowflake(self._now()), "channel_id": request.match_info.get("channel", CHANNEL)}
        message = self._messages.get(key, place) | {name: said[name] for name in said.keys() - _FURTHER}
        self._messages[key] = message
        self._messages.move_to_end(key)
        while len(self._messages) > MOST_MESSAGES:
            self._messages.popitem(last=False)
        return web.json_response(message)

    async def _page(self, _: web.Request) -> web.Response:
        """The messages as text, the one that was written last at the end."""
        shown = [_shown(message) for message in self._messages.values()]
        return web.Response(text="\n\n".join(shown) + "\n" if shown else "Nothing was written to Discord yet.\n")


def _shown(message: Message) -> str:
    rows = [row for row in message.get("components") or () if isinstance(row, dict)]
    buttons = [button for row in rows for button in row.get("components") or () if isinstance(button, dict)]
    lines = [f"[{button.get('label')}] {button.get('custom_id') or button.get('url')}" for button in buttons]
    return "\n".join([f"── {message['id']}", str(message.get("content", "")), *lines])
