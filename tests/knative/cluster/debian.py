"""What a node takes from Debian, without installing it: containerd and the like, and the root of a Python image."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from shared.local.state import CannotStart
from tests.cluster.go_modules import CACHE, Say, alone

_SUITE = "bookworm"
_MIRROR = "http://deb.debian.org/debian"
_INCLUDED = "python3,ca-certificates"
# After the programs their libraries, which a small system does not have.
_PACKAGES = (
    "containerd",
    "runc",
    "containernetworking-plugins",
    "debootstrap",
    "nftables",
    "iptables",
    "ipset",
    "libseccomp2",
    "libnftables1",
    "libnftnl11",
    "libxtables12",
    "libjansson4",
    "libedit2",
    "libbsd0",
    "libmd0",
    "libmnl0",
    "libgmp10",
    "libip4tc2",
    "libip6tc2",
    "libipset13",
)
# What the installation of a package would link.
_LINKS = {
    "iptables": "xtables-nft-multi",
    "iptables-save": "xtables-nft-multi",
    "iptables-restore": "xtables-nft-multi",
}
_UNUSED = ("dev", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "var/log")
_TAIL_LINES = 10


def packages(say: Say) -> Path:
    """A folder with the unpacked packages, as if it were `/`."""
    target = CACHE / f"debian-{_digest(_PACKAGES)}"
    if not target.exists():
        with alone(say):
            if not target.exists():
                say("downloading containerd, runc and the like from Debian, once")
                _unpack(target)
    return target


def path_of(root: Path) -> str:
    """PATH for processes that use the packages of this root."""
    return os.pathsep.join(
        [*(str(root / folder) for folder in ("usr/sbin", "usr/bin")), "/usr/sbin:/usr/bin:/sbin:/bin"]
    )


def libraries_of(root: Path) -> str:
    """LD_LIBRARY_PATH for the same."""
    found = sorted((root / "usr/lib").glob("*-linux-gnu")) + sorted((root / "lib").glob("*-linux-gnu"))
    return os.pathsep.join(str(folder) for folder in found)


def python_root(say: Say) -> Path:
    """The root of an image with Debian's Python 3.11 and certificates."""
    target = CACHE / f"python-root-{_digest([_SUITE, _INCLUDED, *_UNUSED])}"
    tools = packages(say)
    if not target.exists():
        with alone(say):
            if not target.exists():
                say("making a root file system with Python from Debian's packages, once; it takes about two minutes")
                _bootstrap(tools, target)
    return target


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _unpack(target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=CACHE) as folder:
        downloads, root = Path(folder) / "downloads", Path(folder) / "root"
        downloads.mkdir()
        _run(["apt-get", "download", *_PACKAGES], downloads, "run `apt-get update`, and look at the network")
        for archive in sorted(downloads.glob("*.deb")):
            _run(["dpkg", "-x", str(archive), str(root)], downloads, "delete .cluster and try again")
        for name, program in _LINKS.items():
            (root / "usr/sbin" / name).symlink_to(program)
        root.rename(target)


def _bootstrap(tools: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=CACHE) as folder:
        root = Path(folder) / "root"
        program = tools / "usr/sbin/debootstrap"
        command = [str(program), "--variant=minbase", f"--include={_INCLUDED}", _SUITE, str(root), _MIRROR]
        _run(
            command, Path(folder), f"is {_MIRROR} reachable?", {"DEBOOTSTRAP_DIR": str(tools / "usr/share/debootstrap")}
        )
        for unused in _UNUSED:
            shutil.rmtree(root / unused)
            (root / unused).mkdir()
        root.rename(target)


def _run(command: list[str], folder: Path, advice: str, more: dict[str, str] | None = None) -> None:
    answer = subprocess.run(
        command, cwd=folder, env={**os.environ, **(more or {})}, capture_output=True, text=True, check=False
    )
    if answer.returncode:
        end = (answer.stdout + answer.stderr).splitlines()[-_TAIL_LINES:]
        raise CannotStart("\n".join([f"{Path(command[0]).name} failed ({advice}); the end of what it said:", *end]))
