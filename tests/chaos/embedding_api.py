"""An embedding API that fails at three of ten calls, in every way that it can."""

import random
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
    """Answers three of every ten calls wrongly, `seed` says which; keeps what it was asked when.

    While it is `closed` it answers every call with a Retry-After.
    """

    base_url: str
    seed: int = 0
    closed: bool = False
    started: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    embedded: Counter[str] = field(default_factory=Counter)
    # How many texts each call brought that was answered well.
    sizes: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def respond(self, request: Mapping[str, Any]) -> Answer:
        with self.lock:
            number = len(self.started)
            self.started.append(time.monotonic())
            fault = FAULTS[0] if self.closed else self._fault(number)
            if fault is None:
                self.embedded.update(request["input"])
                self.sizes.append(len(request["input"]))
                return well(request)
            self.faults[fault] += 1
            if fault == "limit":
                self.limits.append(self.started[-1])
        return wrong(fault, request)

    def _fault(self, number: int) -> str | None:
        """The fault of a call; each has its turn, the Retry-After first."""
        ten, place = divmod(number, 10)
        if place not in random.Random(f"{self.seed} {ten}").sample(range(10), 3):  # noqa: S311
            return None
        others = random.Random(self.seed).sample(FAULTS[1:], len(FAULTS) - 1)  # noqa: S311
        return [FAULTS[0], *others][self.faults.total() % len(FAULTS)]

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
