"""Sends signed commands, each of its own, over a fixed number of connections.

`python -m tests.bench.interaction_load URL CONNECTIONS SECONDS` prints what `tests.bench.load` prints.
"""

import asyncio
import json
import time
from collections import deque
from urllib.parse import urlsplit

from shared.local.discord import COMMAND, Person, command, interaction, signed
from tests.bench.load import Load, main
from tests.component.functions import DISCORD

# Signed before the time is taken: as many as are sent in a second at most.
_A_SECOND = 1500
_ASKED = command(["codex", "implement"], {"prompt": "Fix the flaky test", "repository": "o/r"})


class Interactions(Load):
    """Commands as Discord sends them; a good answer is the acknowledgement that a message follows."""

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__(url, seconds)
        place = urlsplit(url)
        self._line = f"POST {place.path or '/'} HTTP/1.1\r\nHost: {place.netloc}\r\n"
        self._ready = deque(self._made() for _ in range(int(_A_SECOND * seconds)))
        self.stop_at = time.perf_counter() + seconds

    def request(self) -> bytes:
        return self._ready.popleft() if self._ready else self._made()

    def is_good(self, head: bytes, body: bytes) -> bool:
        return super().is_good(head, body) and json.loads(body) == {"type": 5}

    def _made(self) -> bytes:
        body, headers = signed(DISCORD.encode().hex(), interaction(COMMAND, _ASKED, Person()))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return b"%sContent-Length: %d\r\n\r\n%s" % ((self._line + lines).encode(), len(body), body)


if __name__ == "__main__":
    asyncio.run(main(Interactions))
