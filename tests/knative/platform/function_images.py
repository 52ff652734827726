"""Images of functions, migration and task on the Debian of the node, by the steps of functions/Dockerfile."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shared.local.state import CannotStart
from shared.web.serve import FUNCTIONS
from tests.cluster.go_modules import CACHE, Say, alone
from tests.images.dockerfile import config
from tests.images.oci import ImageConfig, write_image
from tests.knative.platform.cluster import ROOT
from tests.knative.platform.manifests import LOCAL_REGISTRY

TAG = "dev"
MIGRATE, RUNNER = "migrate", "runner"
_SCRIPT = ROOT / "functions" / "build.sh"
_PROGRAMS = Path(sys.executable).parent
# What the agent and the SDK below it consist of.
_AGENT = ("shared/__init__.py", "shared/runner", "shared/local/__init__.py", "shared/local/agent.py")


def image_name(function: str) -> str:
    return f"{LOCAL_REGISTRY}/facteur-{function}:{TAG}"


@contextmanager
def function_images(base: Sequence[Path], say: Say) -> Iterator[list[Path]]:
    """Tars with the images of all functions, of the migration and of the runner. `base` has Python 3.11."""
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=CACHE) as folder:
        version = _python_version(base[-1])
        tars = [_function(Path(folder), function, base, version, say) for function in (*FUNCTIONS, MIGRATE)]
        yield [*tars, _runner(Path(folder), base)]


@contextmanager
def plain_image(base: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Name and tar of an image of plain.py."""
    name = f"{LOCAL_REGISTRY}/plain:{TAG}"
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=CACHE) as folder:
        program = Path(folder) / "layer" / "app" / "plain.py"
        program.parent.mkdir(parents=True)
        shutil.copyfile(Path(__file__).parent / "plain.py", program)
        plain = ImageConfig(entrypoint=["python3", "/app/plain.py"], user=config().user)
        target = Path(folder) / "plain.tar"
        write_image(target, name, [*base, Path(folder) / "layer"], plain)
        yield name, target


def _function(folder: Path, function: str, base: Sequence[Path], version: str, say: Say) -> Path:
    packages, code = _packages(function, version, say), folder / function
    _build("code", function, code / "app", _PROGRAMS / "uv")
    target = folder / f"{function}.tar"
    write_image(target, image_name(function), [*base, packages, code], config())
    return target


def _packages(function: str, version: str, say: Say) -> Path:
    """The layer with the packages of a function for a version of Python; made once for a lock file."""
    content = b"".join(path.read_bytes() for path in (ROOT / "uv.lock", ROOT / "pyproject.toml", _SCRIPT))
    target = CACHE / f"packages-{hashlib.sha256(content + version.encode()).hexdigest()[:12]}" / function
    if not target.exists():
        with alone(say), tempfile.TemporaryDirectory(prefix="unfinished-", dir=CACHE) as folder:
            say(f"collecting the packages of {function}, once")
            made = Path(folder) / "layer"
            _build("packages", function, made / "app", _uv_for(version, Path(folder)))
            target.parent.mkdir(exist_ok=True)
            shutil.rmtree(target, ignore_errors=True)
            made.rename(target)
    return target


def _python_version(root: Path) -> str:
    command = ["chroot", str(root), "python3", "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _uv_for(version: str, folder: Path) -> Path:
    """A uv that takes packages for the node's Python: some need more there than with the Python of this process."""
    program = folder / "uv"
    uv = _PROGRAMS / "uv"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = pip ] && exec {uv} "$@" --python-version {version}\nexec {uv} "$@"\n', "utf-8"
    )
    program.chmod(0o755)
    return program


def _build(step: str, function: str, app: Path, uv: Path) -> None:
    environment = {**os.environ, "UV": str(uv), "PYTHON": sys.executable}
    command = [str(_SCRIPT), step, function, str(app)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise CannotStart(f"functions/build.sh {step} {function}: {answer.stderr.strip()}")


def _runner(folder: Path, base: Sequence[Path]) -> Path:
    layer = folder / RUNNER
    for name in _AGENT:
        source, target = ROOT / name, layer / "app" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    shutil.copyfile(Path(__file__).parent / "agent.py", layer / "app" / "agent.py")
    said = config(ROOT / "runner" / "Dockerfile")
    start = ImageConfig(
        entrypoint=["python3", "/app/agent.py"],
        environment={"HOME": said.environment["HOME"], "PYTHONDONTWRITEBYTECODE": "1"},
        user=said.user,
        working_directory=said.working_directory,
    )
    target = folder / f"{RUNNER}.tar"
    write_image(target, image_name(RUNNER), [*base, layer], start)
    return target
