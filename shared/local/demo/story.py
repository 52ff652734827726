"""The demo as a sequence of steps: post, watch, ask, replay. It prints nothing and decides nothing."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import urllib3

from shared.domain.errors import FacteurError
from shared.local.demo.inputs import Input, task_id

# A function that is restarted is away for a moment; every input may be sent again.
_PATIENT = urllib3.Retry(
    total=12,
    backoff_factor=0.2,
    backoff_max=3,
    status_forcelist=[502, 503, 504],
    allowed_methods=None,
    raise_on_status=False,
)
_PATIENCE = 20.0


class DemoFailed(FacteurError):
    """The demo cannot end right; the message says at which step and why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a task's timeline: seconds since the demo began, the input's name, what happened."""

    seconds: float
    name: str
    what: str
    detail: Mapping[str, Any]


class Story:
    """Talks to a twin through its one URL, as any user would."""

    def __init__(self, url: str, api_token: str) -> None:
        self._url = url
        self._bearer = {"Authorization": f"Bearer {api_token}"}
        self._http = urllib3.PoolManager(retries=_PATIENT, timeout=urllib3.Timeout(10))
        self._began = time.monotonic()
        self._seen: set[str] = set()

    def send(self, sent: Input) -> UUID:
        """Posts one input, again while the answer promises no task; the id of its task."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            answer = self._http.request("POST", self._url + sent.path, body=sent.body, headers=dict(sent.headers))
            if answer.status not in (200, 202):
                raise DemoFailed(f"the {sent.name} task was answered {answer.status} at {sent.path}: {_said(answer)}")
            try:
                return task_id(sent, answer.data)
            except (ValueError, KeyError):
                if time.monotonic() > deadline:
                    raise DemoFailed(f"the {sent.name} task was not taken: {_said(answer)}") from None
            time.sleep(0.3)

    def watch(self, tasks: Mapping[UUID, str], done: Callable[[], bool], seconds: float) -> Iterator[Entry]:
        """What happens to the tasks, as it happens, until `done` or until the time is up."""
        deadline = time.monotonic() + seconds
        finished = False
        while not finished and time.monotonic() < deadline:
            finished = done()
            for task, name in tasks.items():
                yield from self._news(task, name)
            if not finished:
                time.sleep(0.1)

    def _news(self, task: UUID, name: str) -> Iterator[Entry]:
        answer = self._get(f"/v1/codex/tasks/{task}/timeline")
        entries = json.loads(answer.data)["entries"] if answer.status == 200 else []
        for entry in entries:
            if entry["id"] not in self._seen:
                self._seen.add(entry["id"])
                yield Entry(time.monotonic() - self._began, name, entry["what"], entry["detail"])

    def ask(self, task: UUID, text: str) -> dict[str, Any]:
        """What memory-query answers to a text, asked on behalf of a task."""
        url = f"{self._url}/v1/codex/tasks/{task}/memory/query"
        answer = self._http.request("POST", url, json={"text": text, "limit": 5}, headers=self._bearer)
        if answer.status != 200:
            raise DemoFailed(f"memory-query answered {answer.status}: {_said(answer)}")
        document: dict[str, Any] = answer.json()
        return document

    def _get(self, path: str) -> urllib3.BaseHTTPResponse:
        return self._http.request("GET", self._url + path, headers=self._bearer)


def _said(answer: urllib3.BaseHTTPResponse) -> str:
    return answer.data.decode(errors="replace")[:300]


def deliveries(log: Path, event_id: str) -> int:
    """How often the broker's log says that intake took this event."""
    if not log.exists():
        return 0
    text = log.read_text(errors="replace")
    whole = text[: text.rfind("\n") + 1]
    lines = [json.loads(line) for line in whole.splitlines() if event_id in line and line.startswith("{")]
    return sum(1 for line in lines if line.get("id") == event_id and line.get("status") == 204)
