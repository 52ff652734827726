"""A task, as the agent inside its container sees it."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from shared.runner import artifacts, memory
from shared.runner.client import Client
from shared.runner.content import Mask, clean, cut, sayable
from shared.runner.courier import Courier
from shared.runner.delivery import Delivery
from shared.runner.environment import Environment, read_environment, read_token
from shared.runner.errors import Fenced, RunnerError, Terminated
from shared.runner.memory import Memory
from shared.runner.patience import persist
from shared.runner.spool import open_spool
from shared.runner.termination import GRACE, Termination

_PATIENCE = 60.0
_MEMORY_PATIENCE = 10.0

Result = TypeVar("Result")

log = logging.getLogger("codex.runner")


class Task:
    """One attempt of one task. Used as a block: leaving it completes the task, an exception fails it.

    Every report returns once it is stored, or on disk while the callback is away. Any call raises
    Refused where the token is not accepted, and Fenced once the attempt is over.
    """

    def __init__(self, environment: Environment) -> None:
        self.id = environment.task_id
        self.attempt = environment.attempt
        self.prompt = environment.prompt
        self.deadline = environment.deadline
        self.mask = Mask(environment.token_file)
        name = f"{self.id}-{self.attempt}"
        self._environment = environment
        self._client = Client(environment.token_file, environment.traceparent)
        self._spool = open_spool(environment.spool_folder, name)
        self._delivery = Delivery(self._client, environment.callback_url, self._spool, name)
        self._termination = Termination()

    def __repr__(self) -> str:
        return f"Task({self.id!r}, attempt={self.attempt})"

    @property
    def token(self) -> str:
        """The task's bearer token, as the file holds it now."""
        return read_token(self._environment.token_file)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Task:
        """The task of this container; RunnerError names every variable that is missing or wrong."""
        return cls(read_environment(os.environ if environ is None else environ))

    def __enter__(self) -> Task:
        self._termination.install()
        if self._delivery.ended:
            try:
                self._delivery.flush(self._until())
                raise Fenced("this attempt has ended before: its report is delivered, nothing is done again")
            finally:
                self._close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                self._fail_with(error)
                return
            self._termination.insist()
            if not self._delivery.ended:
                self.complete()
        except Terminated as told:
            self._fail_with(told)
            raise
        finally:
            self._close()

    def memory(self, limit: int = 5, namespace: str | None = None, resource_kind: str | None = None) -> list[Memory]:
        """Memories near to this task, the nearest first; Away if they cannot be had within some seconds."""
        url = self._environment.memory_url
        return self._patiently(
            lambda: memory.similar(self._client, url, limit, namespace, resource_kind), _MEMORY_PATIENCE
        )

    def ask(self, text: str, limit: int = 5) -> list[Memory]:
        """Memories near to `text`, the nearest first; Away if they cannot be had within some seconds."""
        url = self._environment.memory_url
        return self._patiently(lambda: memory.answers(self._client, url, clean(text), limit), _MEMORY_PATIENCE)

    @contextmanager
    def behind(self, heartbeat: float, over: Callable[[RunnerError], None]) -> Iterator[None]:
        """Within this block a report returns once it is on disk; a thread sends it, and heartbeats while all is still.

        `over` is called once, in that thread, when the callback refuses any more: with Fenced or Refused.
        """
        courier = Courier(self._delivery, heartbeat, self.heartbeat, over)
        courier.start()
        try:
            yield
        finally:
            courier.stop()

    def on_termination(self, listener: Callable[[int], None]) -> AbstractContextManager[None]:
        """A block in which SIGTERM and SIGINT call `listener` at once; leaving it raises Terminated if one came."""
        return self._termination.heard_by(listener)

    def progress(self, content: str | Mapping[str, Any]) -> None:
        """Says to people how far the work is: a text, or a JSON object."""
        self._report("progress", sayable(content, self.mask))

    def log(self, content: str | Mapping[str, Any]) -> None:
        """Keeps a line of detail: a text, or a JSON object."""
        self._report("log", sayable(content, self.mask))

    def heartbeat(self) -> None:
        """Says that the work goes on."""
        self._report("heartbeat", None)

    def usage(self, /, **numbers: float) -> None:
        """Says what was used: any finite numbers by name."""
        for name, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise RunnerError(f"usage takes finite numbers; {name} is none")
        self._report("usage", None, usage=numbers)

    def snapshot(self, when: str, content: str) -> None:
        """Keeps the state of what the task works on, `before` or `after` the work."""
        if when not in ("before", "after"):
            raise RunnerError('a snapshot is "before" or "after"')
        text = self.mask.text(clean(content))
        digest = hashlib.sha256(text.encode()).hexdigest()
        self._report("snapshot", None, snapshot={"type": when, "content": text, "digest": digest})

    def artifact(
        self, path_or_bytes: str | Path | bytes, name: str | None = None, content_type: str | None = None
    ) -> str:
        """Leaves a file with the task and returns the artifact's id. Of a path only the last part is told."""
        artifact = artifacts.measure(path_or_bytes, name, content_type)
        url = self._environment.callback_url
        leaving = artifacts.Leaving(self._client, url, artifact)
        artifact_id = self._patiently(leaving, _PATIENCE + artifact.patience)
        content = {
            "artifactId": artifact_id,
            "name": artifact.name,
            "size": artifact.size,
            "sha256": artifact.sha256,
            "contentType": artifact.content_type,
        }
        self._report("artifact", content)
        return artifact_id

    def complete(self, message: str = "") -> None:
        """Ends the task well; waits until everything is stored, at most until the deadline (or 60 s)."""
        self._delivery.end({"eventType": "completed", "content": self._text(message)}, self._until())

    def fail(self, message: str) -> None:
        """Ends the task badly; waits like `complete`."""
        self._delivery.end({"eventType": "failed", "content": self._text(message)}, self._until())

    def _fail_with(self, error: BaseException) -> None:
        told = isinstance(error, Terminated)
        until = self._termination.until if told else self._until()
        message = "terminated" if told else f"{type(error).__name__}: {error}".rstrip(": ")
        try:
            if not self._delivery.ended:
                self._delivery.end({"eventType": "failed", "content": self._text(message)}, until, told)
            elif told:
                self._delivery.flush(until, urgent=True)
        except RunnerError as lost:
            log.warning("the end of the task was not delivered: %s", lost)

    def _report(self, kind: str, content: object, **parts: object) -> None:
        self._termination.insist()
        self._delivery.report({"eventType": kind, "content": content, **parts})

    def _patiently(self, work: Callable[[], Result], seconds: float) -> Result:
        self._termination.insist()
        # The last seconds before the deadline are for the end.
        return persist(work, min(time.monotonic() + seconds, self._until() - GRACE))

    def _until(self) -> float:
        deadline = self._environment.deadline
        return time.monotonic() + (_PATIENCE if deadline is None else deadline - time.time())

    def _text(self, text: str) -> str:
        return cut(self.mask.text(clean(text)))

    def _close(self) -> None:
        self._termination.restore()
        self._spool.close()
