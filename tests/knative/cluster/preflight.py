"""Whether this machine can have a node: said in plain words before anything is built."""

import os
import platform
import shutil
from pathlib import Path

from shared.local.state import CannotStart

CGROUPS = Path("/sys/fs/cgroup")
_TOOLS = {
    "apt-get": "apt",
    "dpkg": "dpkg",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "sysctl": "procps",
    "unshare": "util-linux",
    "wget": "wget",
}
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
_CAP_SYS_ADMIN, _CAP_NET_ADMIN = 21, 12


class Unsuited(CannotStart):
    """No node can run on this machine, whatever is tried; the message says what it lacks."""


def check() -> None:
    """Raise Unsuited with all that is missing here."""
    found = [_system(), _rights(), _tools(), _cgroups(), _kernel()]
    if missing := [sentence for sentence in found if sentence]:
        raise Unsuited("A node cannot run on this machine.\n" + "\n".join(f"- {sentence}" for sentence in missing))


def _system() -> str:
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    if (release.get("ID"), release.get("VERSION_ID")) == ("debian", "12"):
        return ""
    name = release.get("PRETTY_NAME") or platform.platform()
    return f"It takes containerd, runc and a Python 3.11 from the packages of Debian 12, and this is {name}."


def _rights() -> str:
    if os.geteuid() != 0:
        return "It needs root, for namespaces, mounts and cgroups: run it with sudo, or in a virtual machine."
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    capabilities = int(status["CapEff"], 16)
    if any(not capabilities >> number & 1 for number in (_CAP_SYS_ADMIN, _CAP_NET_ADMIN)):
        return "This root lacks CAP_SYS_ADMIN or CAP_NET_ADMIN, as in a container: run it in a virtual machine."
    return ""


def _tools() -> str:
    packages = sorted({package for tool, package in _TOOLS.items() if shutil.which(tool) is None})
    return f"Programs are missing: apt-get install {' '.join(packages)}." if packages else ""


def _cgroups() -> str:
    unified = CGROUPS / "cgroup.controllers"
    there = unified.read_text().split() if unified.exists() else [path.name for path in CGROUPS.glob("*")]
    missing = [name for name in _CONTROLLERS if name not in there]
    if missing:
        return f"{CGROUPS} has no controllers {', '.join(missing)}: they must be mounted."
    read_only = os.geteuid() == 0 and not os.access(CGROUPS / ("" if unified.exists() else "memory"), os.W_OK)
    return f"{CGROUPS} is read-only, as in a container: run it in a virtual machine." if read_only else ""


def _kernel() -> str:
    systems = Path("/proc/filesystems").read_text().split()
    parts = {"overlay": "overlay" in systems, "br_netfilter": Path("/proc/sys/net/bridge").exists()}
    missing = [name for name, present in parts.items() if not present]
    return f"The kernel lacks {' and '.join(missing)}: modprobe {' '.join(missing)}." if missing else ""
