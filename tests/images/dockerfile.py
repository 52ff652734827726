"""A Dockerfile as a list of instructions, and what its last stage says of how a container starts."""

import json
import re
import shlex
from pathlib import Path

from tests.images.oci import ImageConfig

ROOT = Path(__file__).parents[2]
FUNCTIONS_DOCKERFILE = ROOT / "functions" / "Dockerfile"


def instructions(file: Path) -> list[tuple[str, str]]:
    """Name and rest of each instruction, in order; a continued one is one line, and comments are left out."""
    lines = [line for line in file.read_text().splitlines() if line.strip() and not line.strip().startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split()[0], line.partition(" ")[2]) for line in whole.splitlines()]


def last_stage(file: Path) -> list[tuple[str, str]]:
    return instructions(file)[_last_from(file) + 1 :]


def first_stages(file: Path) -> list[tuple[str, str]]:
    """All but the last stage."""
    return instructions(file)[: _last_from(file)]


def _last_from(file: Path) -> int:
    return max(number for number, (name, _) in enumerate(instructions(file)) if name == "FROM")


def config(file: Path = FUNCTIONS_DOCKERFILE) -> ImageConfig:
    """How a container starts that is made of this file. What its base image sets is not in it: a PATH, say."""
    said: dict[str, list[str]] = {}
    for name, rest in last_stage(file):
        said.setdefault(name, []).append(rest)
    assignments = [word for rest in said.get("ENV", []) for word in shlex.split(rest)]
    return ImageConfig(
        entrypoint=json.loads(said.get("ENTRYPOINT", ["[]"])[-1]),
        command=json.loads(said.get("CMD", ["[]"])[-1]),
        environment=dict(assignment.split("=", 1) for assignment in assignments),
        user=said["USER"][-1],
        working_directory=said["WORKDIR"][-1],
    )
