"""A wire to PostgreSQL that can be cut at the worst moment: when a statement is on its way, or its answer."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit, urlunsplit

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing sends RST


class Cut(Enum):
    """When the wire is cut: the server never gets the statement, or the client never gets the answer."""

    BEFORE = "before the server has the statement"
    AFTER = "after the server has committed"


@dataclass
class Wire:
    """Cuts the connections whose next statements hold `marker`, `cuts` times; everything else passes."""

    dsn: str
    marker: bytes = b""
    when: Cut = Cut.BEFORE
    cuts: int = 0
    done: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, marker: str, when: Cut, cuts: int = 1) -> None:
        self.marker, self.when, self.cuts, self.done = marker.encode(), when, cuts, 0

    def hit(self, chunk: bytes) -> bool:
        """Whether the connection that sends this is to be cut; at most `cuts` times."""
        with self._lock:
            if self.done >= self.cuts or self.marker not in chunk:
                return False
            self.done += 1
            return True


@contextmanager
def wire(dsn: str) -> Iterator[Wire]:
    """A wire to the server of `dsn`; its own `dsn` leads through it."""
    parts = urlsplit(dsn)
    server = (parts.hostname or "", parts.port or 5432)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        credentials = parts.netloc.rpartition("@")[0]
        through = Wire(urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:{port}")))
        threading.Thread(target=_accept, args=(listener, server, through), daemon=True).start()
        yield through
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts


def _accept(listener: socket.socket, server: tuple[str, int], through: Wire) -> None:
    while True:
        try:
            client, _ = listener.accept()
            line = _Line(client, socket.create_connection(server), through)
        except OSError:
            return
        for pump in (line.to_server, line.to_client):
            threading.Thread(target=pump, daemon=True).start()


class _Line:
    """One connection."""

    def __init__(self, client: socket.socket, server: socket.socket, through: Wire) -> None:
        self._client = client
        self._server = server
        self._through = through
        self._doomed = threading.Event()

    def to_server(self) -> None:
        with contextlib.suppress(OSError):
            while chunk := self._client.recv(1 << 20):
                if self._through.hit(chunk):
                    if self._through.when is Cut.BEFORE:
                        break
                    self._doomed.set()
                self._server.sendall(chunk)
        if not self._doomed.is_set():
            self._cut()

    def to_client(self) -> None:
        with contextlib.suppress(OSError):
            while chunk := self._server.recv(1 << 20):
                if self._doomed.is_set():
                    break
                self._client.sendall(chunk)
        self._cut()

    def _cut(self) -> None:
        with contextlib.suppress(OSError):
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RD)  # wakes the other pump
            end.close()
