"""The state folder of a local twin: its lock, its secrets, its ports."""

import contextlib
import fcntl
import json
import os
import random
import secrets
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from shared.domain.errors import FacteurError
from shared.local.discord import key_pair
from shared.local.watchdog import reap

FORMAT = 1
# Below the ports that systems hand out to outgoing connections, which could take one from us.
PORTS: Sequence[int] = range(20_000, 32_000)
# More than are waited for at the same time; each costs a descriptor.
_MOST_GIVEN = 64
_given: dict[int, int] = {}  # descriptors, by port


class CannotStart(FacteurError):
    """The twin cannot run here as it was asked to; the message says what to change."""


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A loopback port that nobody listens on, and that is given to nobody else who asks."""
    for port in random.SystemRandom().sample(PORTS, 200):
        if port not in _given and is_free(port) and _reserved(port):
            return port
    raise CannotStart("No free port was found on 127.0.0.1.")


def _reserved(port: int) -> bool:
    """Whether the port is this process's own among all that look for one.

    The UDP port of the same number says so until the process ends: a server takes seconds before it listens.
    """
    if port in _given:
        return True
    claim = socket.socket(type=socket.SOCK_DGRAM)
    try:
        claim.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        return False
    if len(_given) == _MOST_GIVEN:
        os.close(_given.pop(next(iter(_given))))
    _given[port] = claim.detach()
    return True


class State:
    """An open, locked state folder. What a twin must find again after a restart is kept here."""

    def __init__(self, folder: Path, lock: int, kept: dict[str, Any]) -> None:
        self.folder = folder
        self._lock = lock
        self._kept = kept

    @classmethod
    def open(cls, folder: Path, fresh: bool = False) -> Self:
        """Lock the folder, end what an earlier twin left running in it, and start a new twin id.

        `fresh` deletes everything in it first. A folder that is not a twin's is never touched.
        """
        folder = folder.absolute()
        try:
            folder.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            _refuse_foreign(folder)
            lock = _locked(folder)
        except OSError as error:
            raise CannotStart(
                f"The state folder {folder} cannot be used ({error.strerror}). Choose another with --state."
            ) from error
        try:
            return cls._begin(folder, lock, fresh)
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def _begin(cls, folder: Path, lock: int, fresh: bool) -> Self:
        try:
            kept = _read(folder)
        except CannotStart:
            if not fresh:
                raise
            kept = {}
        if "twin_id" in kept:
            reap(kept["twin_id"])
        if fresh:
            _empty(folder)
        state = cls(folder, lock, kept if kept and not fresh else _new())
        state._kept["twin_id"] = str(uuid4())
        state._save()
        return state

    @property
    def twin_id(self) -> str:
        """New at every start, so that whoever ends an earlier twin never ends this one."""
        return str(self._kept["twin_id"])

    @property
    def api_token(self) -> str:
        return str(self._kept["api_token"])

    @property
    def token_secret(self) -> str:
        return str(self._kept["token_secret"])

    @property
    def discord_private_key(self) -> str:
        """The Ed25519 seed of the test key pair, hex."""
        return str(self._kept["discord_private_key"])

    @property
    def discord_public_key(self) -> str:
        return str(self._kept["discord_public_key"])

    @property
    def redis_prefix(self) -> str:
        """Begins this twin's keys, so that twins may share the user's Redis."""
        return str(self._kept["redis_prefix"])

    def port(self, name: str, wanted: int | None = None) -> int:
        """The port of this name: the wanted one, else the one it had before, else a free one."""
        if wanted is not None and not is_free(wanted):
            raise CannotStart(f"Port {wanted} on 127.0.0.1 is taken. Choose another with --port.")
        ports: dict[str, int] = self._kept["ports"]
        others = {port for other, port in ports.items() if other != name}
        port = wanted or ports.get(name) or free_port()
        while wanted is None and (port in others or not is_free(port) or not _reserved(port)):
            port = free_port()
        ports[name] = port
        self._save()
        return port

    def subfolder(self, name: str) -> Path:
        """A folder inside, for the owner only."""
        path = self.folder / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def close(self) -> None:
        """Let another twin use the folder."""
        os.close(self._lock)

    def _save(self) -> None:
        draft = self.folder / "twin.json.new"
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as out:
            json.dump({"facteur": FORMAT} | self._kept, out, indent=1)
        draft.replace(self.folder / "twin.json")


def discord_address(folder: Path) -> tuple[str, str]:
    """Where the twin of the folder takes interactions, and the Ed25519 seed that it expects them signed with.

    It may be running or not. CannotStart if there is no twin.
    """
    kept = _read(folder)
    if "gateway" not in kept.get("ports", {}):
        raise CannotStart(f"There is no twin in {folder}: start one with `facteur dev`, or name its folder by --state.")
    return f"http://127.0.0.1:{kept['ports']['gateway']}", str(kept["discord_private_key"])


def _new() -> dict[str, Any]:
    private_key, public_key = key_pair()
    return {
        "api_token": secrets.token_urlsafe(32),
        "token_secret": secrets.token_urlsafe(48),
        "discord_private_key": private_key,
        "discord_public_key": public_key,
        "redis_prefix": f"facteur:{secrets.token_hex(4)}:",
        "ports": {},
    }


def _refuse_foreign(folder: Path) -> None:
    inside = {path.name for path in folder.iterdir()}
    if inside - {"lock", "twin.json.new"} and "twin.json" not in inside:
        raise CannotStart(
            f"{folder} holds files that are not a twin's; nothing was changed. Choose another with --state."
        )


def _locked(folder: Path) -> int:
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 20).decode() or "unknown"
        os.close(lock)
        raise CannotStart(
            f"A twin is already running on {folder} (pid {holder}). Stop it, or choose another with --state."
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def _read(folder: Path) -> dict[str, Any]:
    """What was kept; empty where nothing was yet."""
    advice = "Start with --fresh, or choose another with --state."
    try:
        kept = json.loads((folder / "twin.json").read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise CannotStart(f"{folder / 'twin.json'} is damaged. {advice}") from None
    if not isinstance(kept, dict) or kept.pop("facteur", None) != FORMAT:
        raise CannotStart(f"{folder} was written by another version. {advice}")
    return kept


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name in ("lock", "twin.json"):  # the mark that the folder is ours goes last: it is replaced
            continue
        if path.is_dir() and not path.is_symlink():
            # Renamed first: a deletion that is cut off never leaves half a database under its name.
            shutil.rmtree(path.rename(folder / f".deleted-{uuid4()}"))
        else:
            path.unlink()
