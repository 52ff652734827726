"""What can go wrong on the container's side. No message holds a token, a URL or a path."""

from __future__ import annotations


class RunnerError(Exception):
    """Base of every error of the runner; the message says what to do."""


class Away(RunnerError):
    """The other side cannot answer for now; `retry_after` in seconds where it said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(RunnerError):
    """The task token is not accepted (401, 403)."""


class Fenced(RunnerError):
    """This attempt is over (409): it ended, or a later one has taken its place."""


class Unacceptable(RunnerError):
    """What was sent is wrong for ever (400, 413, 422)."""


class Terminated(SystemExit):
    """SIGTERM, raised in the main thread so that the task's block is left the ordinary way."""
