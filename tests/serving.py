"""A server of the standard library that listens in a thread of the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import TCPServer

POLL_SECONDS = 0.02


@contextmanager
def serving(server: TCPServer) -> Iterator[str]:
    """Serves until the end of the block; the URL, for one that speaks plain HTTP. The port is free afterwards."""
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True)
    thread.start()
    host, port = server.server_address[:2]
    try:
        yield f"http://{host!s}:{port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
