"""Discord's API over HTTP: routes, credentials, rate limits, and the faults that it is told to have."""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from shared.local.discord import APPLICATION
from tests.discord.buckets import Buckets
from tests.discord.world import Reply, World, refusal

BOT_TOKEN = "MTIwMDAwMDAwMDAwMDAwMDAwMA.a-bots-token.that-must-never-be-logged"
BASE = "/api/v10"


@dataclass(frozen=True)
class Call:
    """A route that was found: its bucket, its major parameter, whether it is the bot's, and what it does."""

    bucket: str
    major: str
    bot: bool
    act: Callable[[Any], Reply]
    old: bool = False


@dataclass(frozen=True)
class Seen:
    """A request that came, and how it was answered."""

    at: float
    method: str
    path: str
    status: int


class Api(ThreadingHTTPServer):
    """Serves one world. `away`, `cut`, `slow` (seconds) and `shared` (seconds by channel) are its faults.

    While `open` is not set it answers nobody; `came` counts who has asked.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, world: World, now: Callable[[], float]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.world, self.now = world, now
        self.buckets = Buckets()
        self.bot_token = BOT_TOKEN
        self.away, self.cut, self.slow = False, False, 0.0
        self.shared: dict[str, float] = {}
        self.open, self.came = threading.Event(), 0
        self.open.set()
        self.seen: list[Seen] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{BASE}"

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is no fault of ours."""

    def call(self, method: str, path: str) -> Call | None:
        """What a request asks for; None if there is no such route."""
        world, parts = self.world, path.removeprefix(BASE).strip("/").split("/")
        match (method, *parts):
            case ("PATCH", "webhooks", app, token, "messages", "@original") if app == APPLICATION:
                return Call("webhook", token, False, lambda body: world.edit_original(token, body))
            case ("PATCH", "channels", channel, "messages", message):
                old = world.is_old(channel, message)
                return Call("edit", channel, True, lambda body: world.edit_message(channel, message, body), old)
            case ("POST", "channels", channel, "messages", message, "threads"):
                return Call("thread", channel, True, lambda body: world.start_thread(channel, message, body))
            case ("POST", "channels", channel, "messages"):
                return Call("send", channel, True, lambda body: world.send(channel, body))
            case ("PUT", "applications", app, "commands") if app == APPLICATION:
                return Call("register", app, True, lambda body: world.register(None, body))
            case ("PUT", "applications", app, "guilds", guild, "commands") if app == APPLICATION:
                return Call("register", guild, True, lambda body: world.register(guild, body))
        return None

    def throttled(self, call: Call) -> tuple[Reply | None, dict[str, str]]:
        """The refusal if there is no room, and the headers of the bucket."""
        now = self.now()
        if call.bot and self.buckets.is_global(now):
            ends = self.buckets.everything.ends_at - now
            headers = {"X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"}
            return _too_many(ends, headers, everyone=True), headers
        if self.shared.get(call.major, 0.0) > now:
            headers = {"X-RateLimit-Scope": "shared"}
            return _too_many(self.shared[call.major] - now, headers), headers
        window = self.buckets.window(call.bucket, call.major)
        room, headers = window.spend(now), window.headers(call.bucket, now)
        if not room:
            headers["X-RateLimit-Scope"] = "user"
            return _too_many(window.ends_at - now, headers), headers
        old = self.buckets.window("old edit", call.major)
        if call.old and not old.spend(now):
            headers["X-RateLimit-Scope"] = "user"
            return _too_many(old.ends_at - now, headers, code=30046), headers
        return None, headers


def _too_many(seconds: float, headers: dict[str, str], everyone: bool = False, code: int = 0) -> Reply:
    headers["Retry-After"] = str(int(seconds) + 1)
    told = {"message": "You are being rate limited.", "retry_after": round(seconds, 3), "global": everyone}
    return Reply(429, {**told, **({"code": code} if code else {})})


class _Handler(BaseHTTPRequestHandler):
    server: Api
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.came += 1
        self.server.open.wait(60)
        if self.server.slow:
            time.sleep(self.server.slow)
        if self.server.cut:
            self.close_connection = True
            return
        with self.server.world.lock:
            reply, headers = self._reply(body)
            if reply.status in (401, 403) or (reply.status == 429 and headers.get("X-RateLimit-Scope") != "shared"):
                self.server.buckets.count_invalid(self.server.now())
            self.server.seen.append(Seen(self.server.now(), self.command, self.path, reply.status))
        self._answer(reply, headers)

    def _reply(self, body: bytes) -> tuple[Reply, dict[str, str]]:
        if self.server.buckets.is_banned(self.server.now()):
            return Reply(429, "<html>error code: 1015</html>"), {"Retry-After": "600"}
        if self.server.away:
            return Reply(503, "<html>upstream connect error</html>"), {}
        call = self.server.call(self.command, self.path)
        if call is None:
            return refusal(404, 0, "404: Not Found"), {}
        if not re.fullmatch(r"DiscordBot \(https?://\S+, [0-9.]+\)", self.headers.get("User-Agent", "")):
            self.server.world.faults.append("the User-Agent is not as Discord asks for it")
        if call.bot and self.headers.get("Authorization") != f"Bot {self.server.bot_token}":
            return refusal(401, 0, "401: Unauthorized"), {}
        if not call.bot and "Authorization" in self.headers:
            self.server.world.faults.append("the bot's token was sent where it is not needed")
        refused, headers = self.server.throttled(call)
        if refused:
            return refused, headers
        try:
            document = json.loads(body)
        except ValueError:
            return refusal(400, 50109, "The request body contains invalid JSON."), headers
        return call.act(document), headers

    def _answer(self, reply: Reply, headers: dict[str, str]) -> None:
        is_json = not isinstance(reply.document, str)
        data = json.dumps(reply.document).encode() if is_json else reply.document.encode()
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json" if is_json else "text/html")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_PATCH(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def log_message(self, *_: Any) -> None:
        """Quiet."""
