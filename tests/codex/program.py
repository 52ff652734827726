"""The Codex CLI that the tests run: the one that is named, or the pinned version from npm."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from shared.local.state import CannotStart

VARIABLE = "FACTEUR_TEST_CODEX"
_CACHE = Path(__file__).parents[2] / ".codex-cli"
_PIN = [Path(__file__).parents[2] / "runner" / name for name in ("package.json", "package-lock.json")]
# The network may be away for a moment.
_TRIES = 3
_NPM = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
# The package's own program starts this one, and would stand between it and the signals that it is sent.
_NATIVE = "node_modules/@openai/codex-*/vendor/*/bin/codex"
_ADVICE = f"Install Node.js with npm; or set {VARIABLE} to a Codex CLI."


def codex() -> Path:
    """The program; it is installed if it is not there yet."""
    if given := os.environ.get(VARIABLE):
        return _given(Path(given).absolute())
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in _PIN)).hexdigest()[:12]
    folder = _CACHE / digest
    if not folder.exists():
        with _alone():
            if not folder.exists():
                _install(folder)
    return _native(folder)


def _given(program: Path) -> Path:
    if not (program.is_file() and os.access(program, os.X_OK)):
        raise CannotStart(f"{VARIABLE} is {program}, which is no program. Unset it to have one installed by npm.")
    return program


def _native(folder: Path) -> Path:
    found = sorted(folder.glob(_NATIVE))
    if not found:
        raise CannotStart(f"The npm package has no program for this machine. Set {VARIABLE} to a Codex CLI.")
    return found[0]


def _install(folder: Path) -> None:
    for left in _CACHE.glob("unfinished-*"):
        shutil.rmtree(left, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=_CACHE))
    try:
        for file in _PIN:
            shutil.copy(file, unfinished)
        _run_npm(unfinished)
        _native(unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _run_npm(folder: Path) -> None:
    print("installing the Codex CLI by npm, once; it takes 400 MB", flush=True)
    for _ in range(_TRIES):
        try:
            answer = subprocess.run(_NPM, cwd=folder, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise CannotStart(f"There is no program named npm. {_ADVICE}") from None
        if not answer.returncode:
            break
    else:
        raise CannotStart(f"npm cannot install the Codex CLI: {answer.stderr.strip()}\n{_ADVICE}")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Only one at a time installs; the lock ends with its process."""
    try:
        _CACHE.mkdir(exist_ok=True)
        opened = (_CACHE / "lock").open("w")
    except PermissionError:
        raise CannotStart(f"{_CACHE} cannot be written; run `python -m tests.codex install` as its owner.") from None
    with opened as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
