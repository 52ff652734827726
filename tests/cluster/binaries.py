"""The programs of a control plane and the CRDs it serves: found, or taken once from Go modules."""

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from shared.local.state import CannotStart

CACHE = Path(__file__).parents[2] / ".cluster"
CONTROLLER_MANAGER = "kube-controller-manager"
_PROGRAMS = Path(__file__).parent
_CRDS = _PROGRAMS / "crds"
_BUILT = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    CONTROLLER_MANAGER: "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
_STORE = _PROGRAMS / "object_store"
_NEEDED = ("etcd", "kube-apiserver", CONTROLLER_MANAGER)
_MINIO = "github.com/minio/minio"
_MANIFESTS = {
    "knative.dev/eventing": [
        f"config/core/resources/{name}.yaml" for name in ("apiserversource", "pingsource", "trigger", "broker")
    ],
    "github.com/argoproj/argo-workflows/v4": [
        f"manifests/base/crds/minimal/argoproj.io_{name}.yaml" for name in ("workflows", "workflowtemplates")
    ],
}
_ADVICE = (
    "Install Go 1.26; or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kube-controller-manager; "
    "or set KUBECONFIG to the configuration of a cluster to test with."
)
_TAIL_LINES = 20
_STILL_SECONDS = 30.0

Say = Callable[[str], None]


def programs(say: Say) -> Path:
    """The folder that holds the programs under their names; builds them if there is none yet."""
    if given := os.environ.get("KUBEBUILDER_ASSETS"):
        return _given(Path(given).absolute())
    target = CACHE / f"bin-{_digest(_PROGRAMS)}"
    if not target.exists():
        with _alone(say):
            if not target.exists():
                _build(target, say)
    return target


def crd_manifests(say: Say) -> list[dict[str, Any]]:
    """The CustomResourceDefinitions of Knative Eventing and Argo Workflows that facteur uses."""
    kept = CACHE / f"crds-{_digest(_CRDS, json.dumps(_MANIFESTS))}.json"
    if not kept.exists():
        with _alone(say):
            if not kept.exists():
                _keep_crds(kept, say)
    found: list[dict[str, Any]] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def object_store(say: Say) -> Path:
    """The program of MinIO; builds it if it is not there yet."""
    target = CACHE / f"minio-{_digest(_STORE)}"
    if not target.exists():
        with _alone(say):
            if not target.exists():
                say("building MinIO, once; without Go's build cache it takes some minutes")
                unfinished = target.with_suffix(".unfinished")
                command = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(unfinished), _MINIO]
                _run("building MinIO", command, say, _STORE)
                unfinished.rename(target)
    return target


def _given(folder: Path) -> Path:
    if missing := [name for name in _NEEDED if not os.access(folder / name, os.X_OK)]:
        raise CannotStart(
            f"KUBEBUILDER_ASSETS is {folder}, which has no {' and no '.join(missing)}. "
            "Put them there, all of one Kubernetes version, or unset it to have them built by Go 1.26."
        )
    return folder


def _build(target: Path, say: Say) -> None:
    _check_go()
    for left in CACHE.glob("unfinished-*"):
        shutil.rmtree(left, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=CACHE))
    version = _kubernetes_version()
    say(f"building the programs of Kubernetes {version}, once; without Go's build cache it takes about ten minutes")
    try:
        for name, package in _BUILT.items():
            stamp = f"-s -w -X k8s.io/component-base/version.gitVersion={version}"
            command = ["go", "build", "-trimpath", "-ldflags", stamp, "-o", str(unfinished / name), package]
            _run(f"building {name}", command, say)
        unfinished.chmod(0o755)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _run(what: str, command: list[str], say: Say, module: Path = _PROGRAMS) -> None:
    """Run the command until it ends, with a sign of life now and then; nothing of it survives an interruption."""
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


def _check_go() -> None:
    # An API server that Go 1.27 has built serves a broken OpenAPI document.
    answer = _go("env", "GOVERSION", folder=_PROGRAMS)
    version = answer.stdout.strip() or answer.stderr.strip()
    if answer.returncode or not re.match(r"go1\.26(\D|$)", version):
        raise CannotStart(
            f"Kubernetes is built here by Go 1.26 only, and this is {version or answer.stderr}. {_ADVICE}"
        )


def _keep_crds(kept: Path, say: Say) -> None:
    folders = _download(say)
    texts = [(folders[module] / path).read_text("utf-8") for module in _MANIFESTS for path in _MANIFESTS[module]]
    documents = [document for text in texts for document in yaml.safe_load_all(text) if document]
    unfinished = kept.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(documents), encoding="utf-8")
    unfinished.rename(kept)


def _download(say: Say) -> dict[str, Path]:
    """The folders of the modules with manifests, by module."""
    say("looking for the CRDs in their Go modules")
    answer = _go("mod", "download", "-json", *_MANIFESTS, folder=_CRDS)
    if answer.returncode:
        raise CannotStart(f"The modules with the CRDs cannot be had: {answer.stderr or answer.stdout}")
    # Objects follow one another, each at the beginning of a line.
    found = [json.loads("{" + text) for text in re.split(r"^\{", answer.stdout, flags=re.MULTILINE) if text]
    return {module["Path"]: Path(module["Dir"]) for module in found}


def _go(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(["go", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CannotStart(f"There is no program named go. {_ADVICE}") from None


def _kubernetes_version() -> str:
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", (_PROGRAMS / "go.mod").read_text("utf-8"), re.MULTILINE)
    assert found, "go.mod requires k8s.io/kubernetes"
    return found[1]


def _digest(module: Path, more: str = "") -> str:
    content = b"".join((module / name).read_bytes() for name in ("go.mod", "go.sum"))
    return hashlib.sha256(content + more.encode()).hexdigest()[:12]


@contextlib.contextmanager
def _alone(say: Say) -> Iterator[None]:
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
