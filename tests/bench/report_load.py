"""Containers that report without a pause, each over its own connection and one request at a time.

`python -m tests.bench.report_load URL BATCH SECONDS`, with a JSON list of [task, token] on its input, prints what
`tests.bench.load` prints. A batch of one is sent as one event, a larger one as a list.
"""

import asyncio
import json
import sys
import time
from functools import partial
from urllib.parse import urlsplit

from tests.bench.load import Connection, Load

TEXT = "Read the module and its tests, and found nothing in the way: the change goes into the second function."


class Reports(Load):
    """The reports of one container."""

    def __init__(self, url: str, task: str, token: str, batch: int, seconds: float) -> None:
        super().__init__(url, seconds)
        self._task_id = task
        self._batch = batch
        self._sequence = 0
        path = f"/v1/codex/tasks/{task}/events"
        head = f"POST {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nAuthorization: Bearer {token}\r\n"
        self._head = f"{head}Content-Type: application/json\r\n".encode()

    def request(self) -> bytes:
        events = [self._event() for _ in range(self._batch)]
        body = json.dumps(events if self._batch > 1 else events[0], separators=(",", ":")).encode()
        return b"%sContent-Length: %d\r\n\r\n%s" % (self._head, len(body), body)

    def _event(self) -> dict[str, object]:
        self._sequence += 1
        number = self._sequence
        return {
            "eventId": f"{self._task_id}-1-{number}",
            "sequence": number,
            "eventType": "progress",
            "content": f"{number}. {TEXT}",
        }


async def main() -> None:
    url, batch, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    loop = asyncio.get_running_loop()
    loads = [Reports(url, task, token, batch, seconds) for task, token in json.load(sys.stdin)]
    began = time.perf_counter()
    made = [await loop.create_connection(partial(Connection, load), load.host, load.port) for load in loads]
    await asyncio.gather(*(protocol.done for _, protocol in made))
    taken = [one for load in loads for one in load.taken]
    failed = sum(load.failed for load in loads)
    print(json.dumps({"seconds": time.perf_counter() - began, "failed": failed, "taken": taken}))


if __name__ == "__main__":
    asyncio.run(main())
