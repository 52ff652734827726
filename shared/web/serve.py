"""Serves one function: `python -m shared.web.serve codex-intake`.

The application is the Functions Framework's own; granian serves it, because half-open requests do
not stall it and it finishes requests in flight when it is told to stop.
"""

import importlib
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from shared import telemetry
from shared.settings import SettingsError, check, env, load
from shared.web import stopping

FUNCTIONS = (
    "discord-interaction",
    "codex-intake",
    "dispatcher",
    "callback",
    "embedder",
    "memory-query",
)
_ROOT = Path(__file__).parents[2] / "functions"
_THREADS = 48
# Whoever waits for an API keeps a thread, and those who wait together are one call.
_MORE_THREADS = {"embedder": 96}
# Also how long an idle connection is kept: shorter than clients keep theirs, and their next POST fails.
_HEADER_MILLISECONDS = 60_000
_HEADER_BYTES = 32 * 1024


def _log_level(raw: str) -> str:
    if raw.upper() not in telemetry.LEVELS:
        raise ValueError(f"must be one of {', '.join(telemetry.LEVELS)}")
    return raw.upper()


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What every function reads besides its own settings."""

    listen_address: str = env("FACTEUR_SERVER_LISTEN_ADDRESS", default="")
    port: str = env("PORT", default="")
    log_level: str = env("FACTEUR_LOG_LEVEL", _log_level, default="INFO")

    def __post_init__(self) -> None:
        listen_address(self.listen_address, self.port)


def function_settings(service: str) -> type:
    """The settings class of a function."""
    settings: type = importlib.import_module(f"functions.{service.replace('-', '_')}.settings").Settings
    return settings


def main() -> None:
    """Exit codes: 0 stopped by a signal, 2 wrong argument, setting or address."""
    if len(sys.argv) != 2 or sys.argv[1] not in FUNCTIONS:
        raise SystemExit(f"usage: python -m shared.web.serve {{{','.join(FUNCTIONS)}}}")
    service = sys.argv[1]
    try:
        # The function's own too, so that a wrong setting is one sentence and not a traceback of the worker.
        check([ServerSettings, function_settings(service)])
        server = load(ServerSettings)
        host, port = listen_address(server.listen_address, server.port)
        _check_free(host, port)
    except (SettingsError, ValueError) as error:
        print(f"{service}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    _serve(service, host, port, server.log_level)


def _serve(service: str, host: str, port: int, log_level: str) -> None:
    from granian.constants import Interfaces
    from granian.http import HTTP1Settings
    from granian.server import Server

    def application(*_: Any) -> Any:
        create_app: Callable[..., Any] = importlib.import_module("functions_framework").create_app
        refused = importlib.import_module("shared.web.edge").refused
        telemetry.set_up(service, {**os.environ, "FACTEUR_LOG_LEVEL": log_level})
        stopping.watch()
        source = _ROOT / service.replace("-", "_") / "main.py"
        app = create_app("handle", str(source), "http")
        # Paths that the framework itself does not pass on, like one with a line break.
        app.register_error_handler(HTTPStatus.NOT_FOUND, refused)
        return app

    Server(
        service,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        blocking_threads=_MORE_THREADS.get(service, _THREADS),
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_MILLISECONDS, max_buffer_size=_HEADER_BYTES),
        log_enabled=False,
        process_name=None,
    ).serve(target_loader=application, wrap_loader=False)


def listen_address(address: str, port: str) -> tuple[str, int]:
    """Host and port from `host:port` (an empty host is all interfaces), else from `port`, else 8080."""
    host, _, number = (address or f":{port or 8080}").rpartition(":")
    if not number.isdigit() or not 1 <= int(number) <= 65535:
        raise ValueError("FACTEUR_SERVER_LISTEN_ADDRESS must be host:port, like 127.0.0.1:8080, and PORT a number")
    return host or "0.0.0.0", int(number)  # noqa: S104  # what a container listens on


def _check_free(host: str, port: int) -> None:
    """Granian panics on a taken port: ask first, and say it in words."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ValueError(f"cannot listen on {host}:{port}: {error.strerror}") from None


if __name__ == "__main__":
    main()
