"""An image of a function as a folder, made by the steps of the Dockerfile without a container engine."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.local.state import free_port
from tests.component.functions import FUNCTIONS, Function, await_health
from tests.images.dockerfile import FUNCTIONS_DOCKERFILE, ROOT, config, first_stages
from tests.images.ignored import let_through

IMAGES = (*FUNCTIONS, "migrate")


@dataclass(frozen=True)
class LaidOut:
    """`root` is `/` of the image, without its base; `python` is one with no packages of its own."""

    root: Path
    python: Path

    @property
    def app(self) -> Path:
        return self.root / "app"

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """That of a container, with the paths of the image where they are here."""
        told = {name: value.replace("/app", str(self.app)) for name, value in config().environment.items()}
        return {"PATH": f"{self.python.parent}:{os.defpath}", **told, **more}

    def command(self, *arguments: str) -> list[str]:
        return [config().entrypoint[0].replace("/app", str(self.app)), *arguments]

    def start(self, more: Mapping[str, str], log: Path) -> tuple[Function, float]:
        """Starts the function, waits for its first answer, and says how many seconds that took."""
        port = free_port()
        environment = self.environment({**more, "FACTEUR_SERVER_LISTEN_ADDRESS": f"127.0.0.1:{port}"})
        began = time.perf_counter()
        with log.open("ab") as out:
            process = subprocess.Popen(
                self.command(), cwd=self.app, env=environment, stdout=out, stderr=out, start_new_session=True
            )
        function = Function(f"http://127.0.0.1:{port}", process, log)
        await_health(function)
        return function, time.perf_counter() - began

    def megabytes(self) -> float:
        return sum(path.lstat().st_size for path in self.root.rglob("*")) / 1e6


def lay_out(name: str, folder: Path, python: str | None = None) -> LaidOut:
    """Put the image of a function, or of `migrate`, into the folder; `python` is what its packages are for.

    The steps are those of the Dockerfile before its last stage, which see what a build sees, at the time it does.
    """
    bare = folder / "python"
    subprocess.run([python or sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    image = LaidOut(folder / "image", bare / "bin" / "python3")
    tools = {"UV": str(Path(sys.executable).with_name("uv")), "PYTHON": str(image.python), "FUNCTION": name}
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "TARGETARCH")}
    seen = let_through(_files(), FUNCTIONS_DOCKERFILE.with_name("Dockerfile.dockerignore"))
    for instruction, rest in first_stages(FUNCTIONS_DOCKERFILE):
        if instruction == "COPY":
            _copy(rest.split(), seen, folder / "build")
        # The uv is this environment's, as the lock file has it too.
        elif instruction == "RUN" and rest != "functions/build.sh uv":
            command = re.sub(r" /(app|code)$", f" {image.app}", re.sub(r"^--mount=\S+ ", "", rest))
            _run(command, folder / "build", {**kept, **tools})
    return image


def _run(command: str, build: Path, environment: Mapping[str, str]) -> None:
    """Asks the index of packages for those alone that no cache has."""
    shell = ["sh", "-c", command]
    cached = subprocess.run(shell, cwd=build, env={**environment, "UV_OFFLINE": "1"}, capture_output=True, check=False)
    if cached.returncode:
        subprocess.run(shell, cwd=build, env=environment, check=True)


def closed(app: Path) -> list[Path]:
    """What a user without rights cannot read, or not enter."""
    masks = {True: 0o005, False: 0o004}
    return [path for path in (app, *app.rglob("*")) if ~path.lstat().st_mode & masks[path.is_dir()]]


def _files() -> list[str]:
    """What a build could see, by its path from the root."""
    places = ("pyproject.toml", "uv.lock", "functions", "shared", "migrations")
    found = (path for place in places for path in (ROOT / place, *(ROOT / place).rglob("*")))
    return [str(path.relative_to(ROOT)) for path in found if path.is_file()]


def _copy(words: list[str], seen: set[str], build: Path) -> None:
    """COPY of files into a folder, or of folders each to its own name."""
    *sources, target = words
    for source in sources:
        for path in seen:
            if path == source or path.startswith(f"{source.rstrip('/')}/"):
                place = build / (path if path != source else f"{target}/{Path(source).name}")
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, place)
