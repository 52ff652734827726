"""`python -m shared.local.broker --listen 127.0.0.1:8090 --manifests eventing --redis URL ...`"""

import argparse
import asyncio
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web
from redis.asyncio import Redis

from shared import telemetry
from shared.local import manifests
from shared.local.broker.broker import Broker
from shared.local.broker.ingress import HEADER_LIMIT
from shared.local.broker.sender import session
from shared.local.broker.store import Store, connect
from shared.setting_values import http_url

log = logging.getLogger("shared.local.broker")


def main() -> None:
    """Exit codes: 0 stopped by a signal, 2 wrong argument, manifest or address."""
    options = _options()
    telemetry.set_up("broker")
    try:
        addresses = _addresses(options.service, os.environ)
        found = manifests.load(options.manifests)
        _check_addresses(found, addresses)
        asyncio.run(_serve(options, found, addresses))
    except (manifests.ManifestError, ValueError) as error:
        print(f"broker: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m shared.local.broker", description="A broker for the local twin.")
    parser.add_argument("--listen", required=True, metavar="HOST:PORT", help="port 0 takes a free one and logs it")
    parser.add_argument("--manifests", required=True, type=Path, help="folder with broker.yaml, triggers, sources")
    # By the environment where the URL holds a password: arguments can be read by every user of the machine.
    own = os.environ.get("FACTEUR_REDIS_URL")
    parser.add_argument("--redis", default=own, required=not own, metavar="URL", help="default: FACTEUR_REDIS_URL")
    parser.add_argument("--prefix", required=True, help="begins every key in Redis")
    parser.add_argument("--service", action="append", default=[], metavar="NAME=URL", help="where a Service is")
    return parser.parse_args()


def _addresses(arguments: list[str], environ: Mapping[str, str]) -> dict[str, str]:
    said = _map(environ.get("FACTEUR_LOCAL_SERVICES") or "{}")
    for argument in arguments:
        name, separator, url = argument.partition("=")
        if not separator:
            raise ValueError("--service must be NAME=URL, like embedder=http://127.0.0.1:8081")
        said[name] = url
    return {name: _base_url(name, url) for name, url in said.items()}


def _map(raw: str) -> dict[str, str]:
    mistake = 'FACTEUR_LOCAL_SERVICES must be a JSON map, like {"embedder": "http://127.0.0.1:8081"}'
    try:
        said = json.loads(raw)
    except ValueError:
        raise ValueError(mistake) from None
    if not isinstance(said, dict) or not all(isinstance(url, str) for url in said.values()):
        raise ValueError(mistake)
    return said


def _base_url(name: str, url: str) -> str:
    try:
        return http_url(url)
    except ValueError as error:
        raise ValueError(f"the address of {name} {error}") from None


def _check_addresses(found: manifests.Manifests, addresses: Mapping[str, str]) -> None:
    missing = sorted(found.services - addresses.keys())
    if missing:
        raise ValueError(
            "\n".join(f"no address for {name}: give --service {name}=http://HOST:PORT" for name in missing)
        )


async def _serve(options: argparse.Namespace, found: manifests.Manifests, addresses: Mapping[str, str]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    redis = _connect(options.redis)
    async with redis, session() as client:
        broker = Broker(found, addresses, Store(redis, options.prefix), client)
        server = await _listen(broker.application, options.listen)
        async with asyncio.TaskGroup() as work:
            work.create_task(broker.run(stop))
            await stop.wait()
            await server.cleanup()
    log.info("stopped")


def _connect(url: str) -> Redis:
    try:
        return connect(url)
    except ValueError as error:
        raise ValueError(f"--redis {error}") from None


async def _listen(application: web.Application, address: str) -> web.AppRunner:
    match = re.fullmatch(r"\[?([^\[\]]+)\]?:([0-9]{1,5})", address)
    if not match or int(match[2]) > 65535:
        raise ValueError("--listen must be HOST:PORT, like 127.0.0.1:8090")
    server = web.AppRunner(
        application, access_log=None, shutdown_timeout=1, max_field_size=HEADER_LIMIT, max_line_size=HEADER_LIMIT
    )
    await server.setup()
    try:
        await web.TCPSite(server, match[1], int(match[2])).start()
    except OSError as error:
        await server.cleanup()
        reason = os.strerror(error.errno) if error.errno else "unknown host"
        raise ValueError(f"cannot listen on {address}: {reason}. Give another address with --listen") from None
    host, port = server.addresses[0][:2]
    log.info("listening", extra={"facts": {"address": f"{host}:{port}"}})
    return server


if __name__ == "__main__":
    main()
