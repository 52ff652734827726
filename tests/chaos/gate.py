"""A gate before a server: whoever comes while it is shut is turned away, or waits for an answer that does not come."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit


class Gate:
    """Passes connections on to `host:port`. `shut` cuts those that are there; `hang` leaves them without a word."""

    def __init__(self, host: str, port: int) -> None:
        self._place = (host, port)
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_open, self._answers = True, threading.Event()
        self._answers.set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self._server.getsockname()[1]
        return port

    def shut(self) -> None:
        """The server is gone."""
        self._is_open = False
        self._cut()

    def hang(self) -> None:
        """The server takes everything and says nothing."""
        self._answers.clear()

    def open(self) -> None:
        """The server is back. What hung is over: nobody knows any more who waits for what."""
        hung = not self._answers.is_set()
        self._is_open = True
        self._answers.set()
        if hung:
            self._cut()

    def close(self) -> None:
        """Nobody can come any more."""
        self._server.close()
        self._answers.set()
        self._cut()

    def _cut(self) -> None:
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                came, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(came,), daemon=True).start()

    def _serve(self, came: socket.socket) -> None:
        with came, contextlib.suppress(OSError):
            if not self._is_open:
                return
            with socket.create_connection(self._place, 5) as there:
                there.settimeout(None)
                with self._lock:
                    self._open |= {came, there}
                back = threading.Thread(target=self._pass_on, args=(there, came), daemon=True)
                back.start()
                self._pass_on(came, there)
                back.join()
                with self._lock:
                    self._open -= {came, there}

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                self._answers.wait()
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def gate(url: str) -> Iterator[tuple[str, Gate]]:
    """The URL of a server by way of a gate, and the gate."""
    parts = urlsplit(url)
    before = Gate(parts.hostname or "127.0.0.1", parts.port or 0)
    login, _, _ = parts.netloc.rpartition("@")
    place = f"127.0.0.1:{before.port}"
    try:
        yield urlunsplit(parts._replace(netloc=f"{login}@{place}" if login else place)), before
    finally:
        before.close()
