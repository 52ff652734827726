"""One URL in front of the twin: routes the public paths to the functions, as an ingress does."""

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from shared.domain.artifact import MAX_PART
from shared.local.discord import PAGE
from shared.local.discord_stand_in import StandIn

BODY_BYTES = 2 * 1024 * 1024
ARTIFACT_BYTES = MAX_PART
RETRY_SECONDS = 3.0
RETRY_PAUSE = 0.1
SILENCE_SECONDS = 120.0
STOP_SECONDS = 1.0  # waited for twice: for requests in flight, then for what is left of streams
HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
UNTRUSTED = re.compile(r"x-forwarded-.*|forwarded|x-real-ip", re.IGNORECASE)
TASK = r"/v1/codex/tasks/[^/]+"
ROUTES = (
    (re.compile(r"/codex/tasks|/v1/codex/tasks|/openapi\.json"), "codex-intake"),
    (re.compile(rf"{TASK}|{TASK}/timeline|{TASK}/cancel|{TASK}/verdict|{TASK}/artifacts/[^/]+"), "codex-intake"),
    (re.compile(rf"{TASK}/events|{TASK}/artifacts|{TASK}/artifacts/[^/]+/commit"), "callback"),
    (re.compile(r"/v1/artifacts/.+"), "callback"),
    (re.compile(rf"{TASK}/memory|{TASK}/memory/query|/v1/memory/lift"), "memory-query"),
    (re.compile(r"/interactions"), "discord-interaction"),
    (re.compile(r"/broker"), "broker"),
)
INDEX = {
    "tasks": "/v1/codex/tasks",
    "tasks_protobuf": "/codex/tasks",
    "document": "/openapi.json",
    "interactions": "/interactions",
    "discord": PAGE,
    "broker": "/broker",
    "health": "/healthz",
}


class Gateway:
    """A streaming reverse proxy to `upstreams` (name -> base URL)."""

    def __init__(self, upstreams: Mapping[str, str]) -> None:
        self._upstreams = upstreams
        self._client: aiohttp.ClientSession | None = None

    def application(self) -> web.Application:
        app = web.Application(client_max_size=0)
        app.router.add_get("/", _index)
        app.router.add_get("/healthz", _healthy)
        StandIn().serve(app.router)
        app.router.add_route("*", "/{path:.*}", self._proxy)
        app.cleanup_ctx.append(self._connected)
        return app

    async def _connected(self, _: web.Application) -> AsyncIterator[None]:
        # A connection for each request: none can turn out to be dead after the body was sent.
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=2.0, sock_read=SILENCE_SECONDS),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        async with self._client:
            yield

    async def _proxy(self, request: web.Request) -> web.StreamResponse:
        name = next((name for path, name in ROUTES if path.fullmatch(request.path)), None)
        if name is None or name not in self._upstreams:
            return problem(404, "There is nothing at this path. GET / lists what there is.")
        if (request.content_length or 0) > _cap(request):
            return problem(413, f"A body holds at most {_cap(request)} bytes here.")
        target = "" if name == "broker" else request.raw_path
        body = _Body(request, _cap(request))
        try:
            answer = await self._ask(request, self._upstreams[name].rstrip("/") + (target or "/"), body)
        except TimeoutError:
            return problem(504, "The function did not answer in time.")
        except aiohttp.ClientError:
            if body.too_large:
                return problem(413, f"A body holds at most {_cap(request)} bytes here.")
            return problem(503, "The function is away for the moment; try again.", retry_after=1)
        return await _passed_on(request, answer)

    async def _ask(self, request: web.Request, url: str, body: "_Body") -> aiohttp.ClientResponse:
        """The answer's head. While nothing was sent yet, a function that restarts is waited for."""
        assert self._client is not None  # noqa: S101 - requests come between start and cleanup
        give_up_at = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                return await self._client.request(
                    request.method,
                    URL(url, encoded=True),
                    headers=_request_headers(request),
                    data=body.pieces() if request.body_exists else None,
                    allow_redirects=False,
                )
            except aiohttp.ClientConnectorError:
                if time.monotonic() >= give_up_at:
                    raise
                await asyncio.sleep(RETRY_PAUSE)


def _cap(request: web.Request) -> int:
    return ARTIFACT_BYTES if request.path.startswith("/v1/artifacts/") else BODY_BYTES


class _Body:
    """A request's body on its way through, counted; past the cap it breaks off."""

    def __init__(self, request: web.Request, cap: int) -> None:
        self._request = request
        self._left = cap
        self.too_large = False

    async def pieces(self) -> AsyncIterator[bytes]:
        async for piece in self._request.content.iter_any():
            self._left -= len(piece)
            if self._left < 0:
                self.too_large = True
                raise aiohttp.ClientPayloadError
            yield piece


async def _passed_on(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    async with answer:
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        response.headers.extend(_end_to_end(answer.headers))
        try:
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
        except aiohttp.ClientError:  # one end is gone: the other must see the answer cut off, not ended
            if request.transport is not None:
                request.transport.abort()
        return response


def _request_headers(request: web.Request) -> CIMultiDict[str]:
    headers = _end_to_end(request.headers)
    for name in [name for name in headers if UNTRUSTED.fullmatch(name)]:
        headers.popall(name, None)
    headers.popall("Host", None)
    headers["X-Forwarded-For"] = request.remote or ""
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Proto"] = "http"
    return headers


def _end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers without those that speak of one connection only."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if name.lower() not in HOP_BY_HOP | named:
            kept.add(name, value)
    return kept


async def _index(_: web.Request) -> web.Response:
    return web.json_response({"name": "facteur, local twin", "urls": INDEX})


async def _healthy(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def problem(status: int, detail: str, retry_after: int | None = None) -> web.Response:
    """An RFC 9457 body."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.Response(text=json.dumps(body), status=status, headers=headers, content_type="application/problem+json")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m shared.local.gateway", description=__doc__)
    parser.add_argument("--listen", required=True, help="HOST:PORT")
    parser.add_argument("--upstream", action="append", default=[], metavar="NAME=URL")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    upstreams = dict(pair.split("=", 1) for pair in options.upstream)
    try:
        # No access log: the query of a signed URL is a credential.
        app = Gateway(upstreams).application()
        web.run_app(app, host=host, port=int(port), access_log=None, print=None, shutdown_timeout=STOP_SECONDS)
    except OSError:
        sys.exit(f"The gateway cannot listen on {options.listen}: is the port taken?")


if __name__ == "__main__":
    main()
