"""The broker's HTTP side: events in, and how it is."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web
from redis.exceptions import RedisError

from shared.domain.errors import FacteurError, TooLarge
from shared.events import codec
from shared.local.broker.exchange import Exchange
from shared.local.broker.pings import Pings
from shared.local.broker.store import Store

log = logging.getLogger(__name__)

BODY_LIMIT = 1 << 20
HEADER_LIMIT = 32 << 10
_READ_DEADLINE = 10.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(exchange: Exchange, pings: Pings, store: Store) -> web.Application:
    """POST of events to any path, POST /ping, GET /healthz and /readyz."""

    async def publish(request: web.Request) -> web.StreamResponse:
        await exchange.accept(codec.decode(request.headers, await _body(request)))
        return web.Response(status=HTTPStatus.ACCEPTED)

    async def fire(_request: web.Request) -> web.StreamResponse:
        await pings.fire()
        return web.Response(status=HTTPStatus.ACCEPTED)

    async def healthz(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async def readyz(_request: web.Request) -> web.StreamResponse:
        await store.ping()
        return web.json_response({"status": "ready"})

    app = web.Application(middlewares=[_errors], client_max_size=BODY_LIMIT)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_post("/ping", fire)
    app.router.add_post("/{path:.*}", publish)
    return app


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(_READ_DEADLINE):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge("the body is larger than 1 MiB: put the payload elsewhere and send where it is") from None


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every expected error is a problem document, and none repeats the input."""
    if sum(len(name) + len(value) for name, value in request.raw_headers) > HEADER_LIMIT:
        return _problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are larger than 32 KiB")
    try:
        return await handler(request)
    except TooLarge as error:
        return _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
    except FacteurError as error:
        return _problem(HTTPStatus.BAD_REQUEST, str(error))
    except TimeoutError:
        return _problem(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time")
    except RedisError as error:
        log.warning("refused: Redis is away", extra={"facts": {"error": type(error).__name__}})
        return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "the broker's Redis is away: try again")


def _problem(status: HTTPStatus, detail: str) -> web.Response:
    problem = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    response = web.json_response(problem, status=status, content_type="application/problem+json")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = "1"
    return response
