"""A proxy before several servers that treats requests as bad networks do: cuts, loses, repeats and delays them."""

import random
import socket
import socketserver
import struct
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from io import BufferedIOBase
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CUT, HALF_SENT, LOST, HALF_ANSWERED, TWICE, LATE_AGAIN, SLOW = (
    "cut before it was passed on",
    "half of it passed on",
    "answer lost",
    "half of the answer handed back",
    "passed on twice at once",
    "passed on again later",
    "delayed",
)
# What befalls of a hundred requests; the others fare well.
RATES: Mapping[str, float] = {
    CUT: 0.03,
    HALF_SENT: 0.02,
    LOST: 0.05,
    HALF_ANSWERED: 0.02,
    TWICE: 0.05,
    LATE_AGAIN: 0.05,
    SLOW: 0.05,
}
_TIMEOUT = 15.0
_NO_ANSWER = b""


class LossyProxy:
    """Serves plain HTTP inside a `with`, and passes each request on to one of the `servers`, in turn.

    What befalls a request follows from the seed and its number. `counts` has every fault by its name, and all
    requests as `asked`; those that found no server are `unreachable`, and cut.
    """

    def __init__(self, servers: Sequence[str], seed: str, rates: Mapping[str, float] = RATES) -> None:
        self.counts: Counter[str] = Counter()
        self._places = [_place(server) for server in servers]
        self._seed = seed
        self._rates = rates
        self._lock = threading.Lock()
        self._repeats: list[threading.Thread] = []
        self._over = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for repeat in self._repeats:
            repeat.join()

    def answer(self, request: bytes) -> bytes:
        """What is handed back before the connection is closed; nothing where it is cut."""
        number = self._count("asked")
        dice = random.Random(f"{self._seed} {number}")  # noqa: S311  # nobody must be unable to guess it
        fault = self._draw(dice)
        if fault == CUT:
            return _NO_ANSWER
        if fault == HALF_SENT:
            head = request.index(b"\r\n\r\n") + 4
            return self._pass_on(number, request[: dice.randint(head, max(head, len(request) - 1))], whole=False)
        if fault == SLOW:
            self._over.wait(dice.uniform(0.05, 0.5))
        if fault in (TWICE, LATE_AGAIN):
            self._repeat(number + 1, request, 0 if fault == TWICE else dice.uniform(0.1, 2))
        answer = self._pass_on(number, request)
        if fault == LOST:
            return _NO_ANSWER
        return answer[: dice.randint(0, max(0, len(answer) - 1))] if fault == HALF_ANSWERED else answer

    def _draw(self, dice: random.Random) -> str | None:
        (fault,) = dice.choices([*self._rates, None], [*self._rates.values(), 1 - sum(self._rates.values())])
        if fault:
            self._count(fault)
        return fault

    def _repeat(self, number: int, request: bytes, delay: float) -> None:
        def later() -> None:
            self._over.wait(delay)
            self._pass_on(number, request)

        repeat = threading.Thread(target=later)
        with self._lock:
            self._repeats.append(repeat)
        repeat.start()

    def _pass_on(self, number: int, request: bytes, whole: bool = True) -> bytes:
        try:
            with socket.create_connection(self._places[number % len(self._places)], _TIMEOUT) as server:
                server.sendall(_closing(request))
                if not whole:
                    return _NO_ANSWER
                pieces = iter(lambda: server.recv(65536), b"")
                return b"".join(pieces)
        except OSError:
            self._count("unreachable")
            return _NO_ANSWER

    def _count(self, name: str) -> int:
        with self._lock:
            self.counts[name] += 1
            return self.counts[name]


def _place(server: str) -> tuple[str, int]:
    parts = urlsplit(server)
    return parts.hostname or "", parts.port or 80


def _closing(request: bytes) -> bytes:
    """The request with the wish that the server ends the connection, and so shows where its answer ends."""
    return request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


class _Server(socketserver.ThreadingTCPServer):
    request_queue_size = 256

    def __init__(self, proxy: LossyProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        assert isinstance(request, socket.socket)
        self.close_request(request)  # a connection that is to be reset must not say goodbye first

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no news."""


class _Handler(socketserver.StreamRequestHandler):
    server: _Server
    timeout = _TIMEOUT
    disable_nagle_algorithm = True

    def handle(self) -> None:
        request = _whole(self.rfile)
        answer = self.server.proxy.answer(request) if request else _NO_ANSWER
        self.wfile.write(answer)
        if not answer:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _whole(stream: BufferedIOBase) -> bytes:
    """One request, head and body; nothing of one that is cut short."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return b""
        head += line
    lengths = [line for line in head.splitlines() if line.lower().startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2]) if lengths else 0
    body = stream.read(length)
    return head + body if len(body) == length else b""
