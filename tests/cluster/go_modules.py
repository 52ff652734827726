"""Programs and files that are taken out of Go modules, once, into a folder that is kept."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from shared.local.state import CannotStart

CACHE = Path(__file__).parents[2] / ".cluster"
ADVICE = (
    "Install Go 1.26; or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kube-controller-manager; "
    "or set KUBECONFIG to the configuration of a cluster to test with."
)
_TAIL_LINES = 20
_STILL_SECONDS = 30.0
_TRIES = 3

Say = Callable[[str], None]


def build(target: Path, packages: Mapping[str, str], module: Path, say: Say, stamp: str = "") -> None:
    """Make the folder `target` with a static program of each package, under its name; all of them or none.

    `module` is the folder whose go.mod pins the versions; `stamp` is told to the linker. Hold `alone` around it.
    """
    check_go(module)
    # Others make images beside this, and need no lock for that: what they have not finished is theirs.
    for left in CACHE.glob("unfinished-programs-*"):
        shutil.rmtree(left, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-programs-", dir=CACHE))
    try:
        for name, package in packages.items():
            flags = ["-trimpath", "-ldflags", f"-s -w {stamp}".rstrip()]
            run(f"building {name}", ["go", "build", *flags, "-o", str(unfinished / name), package], say, module)
        unfinished.chmod(0o755)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def run(what: str, command: list[str], say: Say, module: Path) -> None:
    """Run the command until it ends, with a sign of life now and then; nothing of it survives an interruption.

    Go itself asks the network for nothing twice: one that fails is run again, and goes on where it was.
    """
    for _ in range(_TRIES - 1):
        try:
            _run_once(what, command, say, module)
            return
        except CannotStart as error:
            say(f"{error}\n{what} is tried again")
    _run_once(what, command, say, module)


def _run_once(what: str, command: list[str], say: Say, module: Path) -> None:
    started = time.monotonic()
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            command,
            cwd=module,
            env={**os.environ, "CGO_ENABLED": "0"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            while not _ended(process):
                say(f"{what}: {time.monotonic() - started:.0f} s so far")
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        if process.returncode:
            output.seek(0)
            lines = output.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
            raise CannotStart("\n".join([f"{what} failed; the end of what go said:", *lines]))
    say(f"{what}: done in {time.monotonic() - started:.1f} s")


def _ended(process: "subprocess.Popen[bytes]") -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STILL_SECONDS)
    return process.returncode is not None


def check_go(module: Path) -> None:
    # An API server that Go 1.27 has built serves a broken OpenAPI document.
    answer = _go("env", "GOVERSION", folder=module)
    version = answer.stdout.strip() or answer.stderr.strip()
    if answer.returncode or not re.match(r"go1\.26(\D|$)", version):
        raise CannotStart(f"Kubernetes is built here by Go 1.26 only, and this is {version or answer.stderr}. {ADVICE}")


def download(modules: list[str], pins: Path) -> dict[str, Path]:
    """The folders of the modules, by module, in the versions that go.mod in `pins` says."""
    for _ in range(_TRIES):
        answer = _go("mod", "download", "-json", *modules, folder=pins)
        if not answer.returncode:
            break
    else:
        raise CannotStart(f"These Go modules cannot be had: {answer.stderr or answer.stdout}")
    # Objects follow one another, each at the beginning of a line.
    found = [json.loads("{" + text) for text in re.split(r"^\{", answer.stdout, flags=re.MULTILINE) if text]
    return {module["Path"]: Path(module["Dir"]) for module in found}


def _go(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(["go", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CannotStart(f"There is no program named go. {ADVICE}") from None


def digest(module: Path, more: str = "") -> str:
    """Changes with the versions that the folder of a go.mod pins, and with `more`."""
    content = b"".join((module / name).read_bytes() for name in ("go.mod", "go.sum"))
    return hashlib.sha256(content + more.encode()).hexdigest()[:12]


@contextlib.contextmanager
def alone(say: Say) -> Iterator[None]:
    """Only one at a time fills the cache; the lock ends with its process."""
    try:
        CACHE.mkdir(exist_ok=True)
        opened = (CACHE / "lock").open("w")
    except PermissionError:
        raise CannotStart(f"{CACHE} cannot be written; run `python -m tests.cluster build` as its owner.") from None
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is building; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
