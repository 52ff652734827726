"""What both embedded servers share: one process on a loopback port, its data in one folder."""

import os
import secrets
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.local.state import CannotStart, free_port

# Both only end a hang: a slow machine starts slowly, and a server that is killed leaves processes in its folder.
START_SECONDS = 60.0
STOP_SECONDS = 60.0


class EmbeddedServer(ABC):
    """Used alone by `start` and `stop`, or run by a supervisor through `prepare` and `command`."""

    stop_signal: int
    user: int | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect, password included."""

    @abstractmethod
    def prepare(self, port: int) -> None:
        """Make the data folder ready for a server on this port. Safe to repeat after any crash."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The program and its arguments; no secret among them."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether a client would be served now."""

    @property
    def env(self) -> Mapping[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}

    def start(self, port: int | None = None) -> str:
        """Start on the port, or on a free one; return the URL once it answers."""
        self.prepare(port or free_port())
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                env=self.env,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise CannotStart(f"{type(self).__name__} did not start; see {self.folder / 'server.log'}.")
            time.sleep(0.02)
        return self.url

    def stop(self) -> None:
        """Stop it in its orderly way; by force where that takes too long."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(self.stop_signal)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _password(self) -> str:
        """The random password of this folder, made once and readable by its owner only."""
        file = self.folder / "password"
        try:
            return file.read_text()
        except FileNotFoundError:
            draft = self.folder / f".password-{os.getpid()}"
            with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as out:
                out.write(secrets.token_urlsafe(24))
            draft.replace(file)
            return file.read_text()
