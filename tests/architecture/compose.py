"""docker-compose.yml as Compose understands it, without Compose."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.architecture.tree import ROOT

FILE = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$(?:\$|\{(\w+):([?-])([^}]*)\})")


def services(environ: Mapping[str, str]) -> dict[str, Any]:
    """The services, with the variables that they name; KeyError for one that must be set and is not."""
    found: dict[str, Any] = _filled(yaml.safe_load(FILE.read_text())["services"], environ)
    return found


def _filled(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _value(match, environ), value)
    if isinstance(value, list):
        return [_filled(inner, environ) for inner in value]
    if isinstance(value, dict):
        return {name: _filled(inner, environ) for name, inner in value.items()}
    return value


def _value(match: "re.Match[str]", environ: Mapping[str, str]) -> str:
    name, kind, word = match.groups()
    if name is None:
        return "$"
    if not environ.get(name) and kind == "?":
        raise KeyError(name)
    return environ.get(name) or str(word)


def sourced(file: Path) -> dict[str, str]:
    """What a shell knows after it has read a file of variables."""
    command = ["sh", "-c", 'set -a; . "$0"; exec env -0', str(file)]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=True, timeout=60)
    pairs = (line.partition("=") for line in done.stdout.split("\0") if line)
    return {name: value for name, _, value in pairs if name != "PWD"}
