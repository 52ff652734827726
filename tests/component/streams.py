"""Reads server-sent events as a client does that never lets a byte pass."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.component.functions import API_TOKEN, authorised
from tests.patience import PATIENCE


@dataclass(frozen=True)
class Told:
    """One event of a stream."""

    id: str
    event: str
    data: Any


class Stream:
    """An open stream. Iterating ends with it; a server that is killed ends it too."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.comments: list[str] = []
        self.retry = 0
        self._answer = answer

    def __iter__(self) -> Iterator[Told]:
        fields: dict[str, str] = {}
        for line in self._lines():
            name, _, value = line.partition(": ")
            if not line and "data" in fields:
                told = Told(fields["id"], fields["event"], json.loads(fields["data"]))
                assert (told.id, told.event) == (told.data["id"], told.data["what"])
                yield told
            if line.startswith(":"):
                self.comments.append(line)
            elif name == "retry":
                self.retry = int(value)
            fields = fields | {name: value} if line else {}

    def next(self) -> Told:
        return next(iter(self))

    def remark(self) -> None:
        """Waits for a comment."""
        known = len(self.comments)
        while len(self.comments) == known:
            line = next(self._lines())
            assert not line or line.startswith(":"), line
            self.comments += [line] if line else []

    def _lines(self) -> Iterator[str]:
        while True:
            try:
                line = self._answer.readline()
            except (http.client.HTTPException, ConnectionError):
                return
            if not line:
                return
            yield line.decode().rstrip("\n")

    def body(self) -> bytes:
        return self._answer.read()


@contextmanager
def follow(
    url: str, task: object, after: str | None = None, query: str = "", token: str = API_TOKEN
) -> Iterator[Stream]:
    """A stream of the task's timeline; ConnectionError while there is no server."""
    parts = urlsplit(url)
    assert parts.hostname
    with closing(http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)) as connection:
        wanted = authorised(token, Accept="text/event-stream")
        if after is not None:
            wanted["Last-Event-ID"] = after
        connection.request("GET", f"/v1/codex/tasks/{task}/timeline{query}", headers=wanted)
        answer = connection.getresponse()
        yield Stream(answer)
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)
