"""Every package of every image can be had for both kinds of machines without a compiler."""

import re
import subprocess
import sys
import tomllib
from functools import cache

import pytest

from tests.images.dockerfile import ROOT
from tests.images.laid_out import IMAGES

# What CPython 3.11 on a Debian of these machines takes, newest glibc last.
GLIBC = 36
# A marker that says no more than that; another one may let the package through on Linux.
ONLY_WINDOWS = "; sys_platform == 'win32'"
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@cache
def _exported(image: str) -> frozenset[str]:
    """The packages of an image on Linux, as functions/build.sh has them exported."""
    extra = "cli" if image == "migrate" else image
    command = [sys.executable, "-m", "uv", "export", "--quiet", "--locked", "--no-dev", "--no-emit-project"]
    command += ["--no-hashes", "--no-header", "--no-annotate", "--extra", extra]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return frozenset(line.partition("==")[0] for line in lines if "==" in line and not line.endswith(ONLY_WINDOWS))


def _fits(wheel: str, machine: str) -> bool:
    """By its file name: interpreter, ABI and platform, each one or several."""
    python, abi, platform = wheel.removesuffix(".whl").split("-")[-3:]
    if platform == "any":
        return bool(re.search(r"py3|py2\.py3|cp311", python))
    releases = [int(minor) for minor in re.findall(rf"manylinux_2_(\d+)_{machine}", platform)]
    old = f"manylinux2014_{machine}" in platform
    stable = "abi3" in abi and any(int(minor) <= 11 for minor in re.findall(r"cp3(\d+)", python))
    return (stable or "cp311" in abi or (abi == "none" and "py3" in python)) and (
        old or any(minor <= GLIBC for minor in releases)
    )


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("machine", MACHINES)
def test_every_package_has_a_wheel_for_the_machine(image: str, machine: str) -> None:
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    wheels = {one["name"]: [wheel["url"].rpartition("/")[2] for wheel in one.get("wheels", [])] for one in locked}
    names = _exported(image)
    assert len(names) > 20
    assert [name for name in sorted(names) if not any(_fits(one, MACHINES[machine]) for one in wheels[name])] == []
