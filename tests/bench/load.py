"""Posts unique deliveries over a fixed number of connections, each one request at a time.

`python -m tests.bench.load URL CONNECTIONS SECONDS` prints one JSON object. Plain asyncio protocols:
whatever the load costs is taken from the server that is measured, on a machine with few cores.
"""

import asyncio
import json
import sys
import time
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from google.protobuf.json_format import Parse

from shared.events.protobuf.proompteng.froussard.v1.codex_task_pb2 import CodexTask
from tests.component.functions import API_TOKEN

EXAMPLE = Path(__file__).parents[2] / "eventing" / "examples" / "codex-task.json"
# Field 15 of CodexTask, as a string of this many bytes.
_ID_LENGTH = 24
_ID_FIELD = bytes([15 << 3 | 2, _ID_LENGTH])


class Load:
    """Requests that differ in their delivery id and issue alone, and how long their answers took."""

    def __init__(self, url: str, seconds: float) -> None:
        self.stop_at = time.perf_counter() + seconds
        self.taken: list[float] = []
        self.failed = 0
        place = urlsplit(url)
        self.host, self.port = place.hostname or "", place.port or 80
        task = Parse(EXAMPLE.read_text(), CodexTask())
        task.ClearField("delivery_id")
        self._task = task
        self._run = uuid4().hex[:12]
        self._numbers = count()
        head = f"POST {place.path or '/'} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {API_TOKEN}\r\n"
        self._head = f"{head}Content-Type: application/x-protobuf\r\n".encode()

    def request(self) -> bytes:
        number = next(self._numbers)
        # Every issue is one of its own: deliveries of one issue would wait for each other's row.
        self._task.issue_number = number + 1
        delivery = f"{self._run}{number:012d}".encode()
        body = self._task.SerializeToString() + _ID_FIELD + delivery
        return b"%sContent-Length: %d\r\n\r\n%s" % (self._head, len(body), body)

    def is_good(self, head: bytes, _body: bytes) -> bool:
        """Whether an answer is the one that was hoped for."""
        return head.startswith(b"HTTP/1.1 20")


class Connection(asyncio.Protocol):
    """One request after the other, until the time is up."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._began = 0.0
        self._answer = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end or len(body) < _content_length(head):
            return
        self._load.taken.append(time.perf_counter() - self._began)
        self._load.failed += not self._load.is_good(head, body)
        self._answer = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        if time.perf_counter() >= self._load.stop_at:
            self._transport.close()
            return
        request = self._load.request()
        self._began = time.perf_counter()
        self._transport.write(request)


def _content_length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0] or 0)


async def main(kind: type[Load] = Load) -> None:
    url, connections, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    loop = asyncio.get_running_loop()
    load = kind(url, seconds)
    began = time.perf_counter()
    made = [await loop.create_connection(lambda: Connection(load), load.host, load.port) for _ in range(connections)]
    await asyncio.gather(*(protocol.done for _, protocol in made))
    print(json.dumps({"seconds": time.perf_counter() - began, "failed": load.failed, "taken": load.taken}))


if __name__ == "__main__":
    asyncio.run(main())
