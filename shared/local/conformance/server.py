"""The stand-in over HTTP."""

import gzip
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from shared.local.conformance.stand_in import Answer, Request, StandIn

_MOST = 64 * 1024 * 1024
_IDLE_SECONDS = 60


@contextmanager
def served(stand_in: StandIn) -> Iterator[StandIn]:
    """The stand-in at a free port of this machine, its `url` set."""

    class Handler(_Handler):
        who = stand_in

    server = _Server(("127.0.0.1", 0), Handler)
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.close_all()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    who: StandIn

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, b"")
        try:
            request.body = self._body(headers)
        except (ValueError, OSError, EOFError, zlib.error):
            self.close_connection = True
            return
        answer = self.who.serve(request)
        if not answer.status:
            self._cut()
            return
        request.status = answer.status
        request.answered = time.monotonic()
        self._send(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815 - the names are http.server's

    def _body(self, headers: dict[str, str]) -> bytes:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            body = self._chunks()
        else:
            body = self.rfile.read(min(int(headers.get("content-length", "0")), _MOST))
        return gzip.decompress(body) if headers.get("content-encoding", "").lower() == "gzip" else body

    def _chunks(self) -> bytes:
        pieces, size = [], 0
        while size < _MOST and (length := int(self.rfile.readline().split(b";")[0], 16)):
            pieces.append(self.rfile.read(length))
            self.rfile.readline()
            size += length
        self.rfile.readline()
        return b"".join(pieces)

    def _send(self, answer: Answer) -> None:
        content = b"" if answer.body is None else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        headers = {"Content-Type": "application/json", **answer.headers}
        if answer.status != 204:
            headers["Content-Length"] = str(len(content))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _cut(self) -> None:
        """Ends the connection as a server that dies does: with a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()

    def finish_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        try:
            super().finish_request(request, client_address)
        finally:
            self._open.discard(request)

    def close_all(self) -> None:
        """Closes the port, and every connection that is still open."""
        self.server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Containers that are stopped break off in the middle: that is no error here."""
