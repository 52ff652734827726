"""A running twin as its users meet it: one URL, one token, and what can be looked up afterwards."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import urllib3
from psycopg.rows import dict_row

from shared.domain.ids import event_delivery, resource_name, run_id
from shared.events import codec
from shared.events.event import Event
from shared.local.demo.inputs import Input, task_id
from shared.local.twin import TwinInfo
from tests.integration.local.waiting import eventually

FINAL = ("succeeded", "failed", "expired", "canceled")
# What a broker that was too slow did not take is sent at the next tick, which comes every minute.
TICKS = 240.0
# A function that is restarted is away for a moment; whoever posts a task posts it until it is taken.
PATIENT = urllib3.Retry(
    total=60, backoff_factor=0.1, backoff_max=2, status_forcelist=[502, 503, 504], allowed_methods=None
)


class Laptop:
    """Posts, looks and waits. Safe to use from many threads."""

    def __init__(self, info: TwinInfo) -> None:
        self.info = info
        self._http = urllib3.PoolManager(retries=PATIENT, timeout=60, maxsize=8)
        self.bearer = {"Authorization": f"Bearer {info.api_token}"}

    def send(self, sent: Input, **headers: str) -> UUID:
        """Posts one of the demo's inputs; the id of its task."""
        answer = self.post(sent.path, sent.body, {**sent.headers, **headers})
        assert answer.status in (200, 202), answer.data
        return task_id(sent, answer.data)

    def submit(self, prompt: str, key: str, **headers: str) -> UUID:
        """Posts a JSON task under an Idempotency-Key."""
        own = {**self.bearer, "Content-Type": "application/json", "Idempotency-Key": key}
        answer = self.post("/v1/codex/tasks", json.dumps({"prompt": prompt}).encode(), own | headers)
        assert answer.status in (200, 202), answer.data
        return UUID(answer.json()["taskId"])

    def publish(self, event: Event) -> UUID:
        """Posts an event to the broker; the id of the task that it asks for, if it does."""
        headers, body = codec.encode(event)
        assert self.post("/broker", body, headers).status == 202
        return run_id(event_delivery(event.source, event.id))

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        return self._http.request("POST", self.info.url + path, body=body, headers=headers)

    def look(self, path: str) -> Any:
        """What the API says at this path; None where there is nothing."""
        answer = self._http.request("GET", self.info.url + path, headers=self.bearer)
        assert answer.status in (200, 404), answer.data
        return answer.json() if answer.status == 200 else None

    def task(self, task: UUID) -> Any:
        return self.look(f"/v1/codex/tasks/{task}")

    def ended(self, task: UUID, seconds: float = TICKS) -> Any:
        """The task once it has ended and its outcome is remembered."""

        def over() -> bool:
            found = self.task(task)
            return bool(found) and found["status"] in FINAL and "outcome" in self.remembered(task)

        eventually(over, f"the end of task {task}", seconds)
        return self.task(task)

    def story(self, task: UUID) -> list[str]:
        """What happened to the task, in its order."""
        return [entry["what"] for entry in self.look(f"/v1/codex/tasks/{task}/timeline")["entries"]]

    def remembered(self, task: UUID) -> list[str]:
        """The kinds of memories that the task has left."""
        entries = self.look(f"/v1/codex/tasks/{task}/timeline")["entries"]
        return [entry["detail"]["kind"] for entry in entries if entry["what"] == "remembered"]

    def ask(self, task: UUID, text: str) -> Any:
        """What memory-query answers to a question on behalf of the task."""
        body = json.dumps({"text": text}).encode()
        answer = self.post(f"/v1/codex/tasks/{task}/memory/query", body, self.bearer)
        assert answer.status == 200, answer.data
        return answer.json()["results"]

    def rows(self, statement: str, **parameters: object) -> list[dict[str, Any]]:
        """What the database answers; one that is restarted is waited for."""
        deadline = time.monotonic() + 120
        while True:
            try:
                with psycopg.connect(self.info.dsn, row_factory=dict_row) as connection:
                    return connection.execute(statement.encode(), parameters).fetchall()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "the database is away"
                time.sleep(0.1)

    def jobs(self) -> list[str]:
        """The names of all jobs ever handed over."""
        return sorted(path.name for path in (self.state / "jobs").glob("codex-*"))

    def job(self, task: UUID) -> Path:
        """The folder of the task's first attempt."""
        return self.state / "jobs" / resource_name(task, 1)

    def log(self, name: str) -> list[dict[str, Any]]:
        """The lines that a function has logged."""
        lines = (self.info.logs / f"{name}.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    @property
    def state(self) -> Path:
        return self.info.logs.parent
