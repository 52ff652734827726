"""An embedding API that fails at three of ten calls, in every way that it can."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.contract.embedders.openai_server import Answer, openai_server, refusal, well

RETRY_AFTER_SECONDS = 2.0
FAULTS = ("limit", "half a body", "not a number", "failure", "wrong dimension", "hangs")


@dataclass
class FaultyApi:
    """Answers calls 1, 4 and 7 of every ten wrongly, and keeps what it was asked when."""

    base_url: str
    started: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    embedded: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def respond(self, request: Mapping[str, Any]) -> Answer:
        with self.lock:
            number = len(self.started)
            self.started.append(time.monotonic())
            if number % 10 not in (1, 4, 7):
                self.embedded.update(request["input"])
                return well(request)
            fault = FAULTS[self.faults.total() % len(FAULTS)]
            self.faults[fault] += 1
            if fault == "limit":
                self.limits.append(self.started[-1])
        return wrong(fault, request)

    def too_early(self, grace: float = 0.0) -> list[float]:
        """When calls began inside a Retry-After, in seconds since it was told; not those of the first `grace`."""
        return [
            start - limit
            for start in self.started
            for limit in self.limits
            if grace < start - limit < RETRY_AFTER_SECONDS
        ]


def wrong(fault: str, request: Mapping[str, Any]) -> Answer:
    answer = well(request)
    match fault:
        case "limit":
            headers = {"Retry-After": str(int(RETRY_AFTER_SECONDS))}
            return Answer(429, {"error": {"message": "slow down"}}, headers)
        case "failure":
            return refusal(500, "the server had an error")
        case "half a body":
            return Answer(body=answer.body, cut=True)
        case "hangs":
            return Answer(hang=True)
        case "not a number":
            answer.body["data"][0]["embedding"][0] = float("nan")
        case "wrong dimension":
            answer.body["data"][0]["embedding"].pop()
    return answer


@contextmanager
def faulty_api() -> Iterator[FaultyApi]:
    with openai_server() as server:
        api = FaultyApi(server.base_url)
        server.respond = api.respond
        yield api
