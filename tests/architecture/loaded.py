"""What importing a function does, seen once a test process."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.architecture.tree import ROOT
from tests.component.functions import settings


@dataclass(frozen=True)
class Loaded:
    """A function after its import: modules loaded by it, and with its wiring. Routes are `METHOD /path/{}`."""

    at_start: frozenset[str]
    in_all: frozenset[str]
    threads: tuple[str, ...]
    native_threads: int
    sockets: int
    acts: tuple[str, ...]
    routes: frozenset[str]
    events: frozenset[str]


@cache
def loaded(function: str) -> Loaded:
    """Imports the function with valid settings whose servers are all away."""
    away = settings("postgresql://nobody@127.0.0.1:1/none", "http://127.0.0.1:1", Path("/nonexistent"))
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.architecture.probe", function],
        cwd=ROOT,
        env=clean | away,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    return Loaded(
        frozenset(seen["at_start"]),
        frozenset(seen["in_all"]),
        tuple(seen["threads"]),
        seen["native_threads"],
        seen["sockets"],
        tuple(seen["acts"]),
        frozenset(route for route in map(_shape, seen["routes"]) if _declared(route)),
        frozenset(seen["events"]),
    )


def _shape(route: str) -> str:
    """The route with `{}` for each variable; werkzeug's HEAD is no route of ours."""
    method, path = route.split(" ", 1)
    parts = ("{}" if part.startswith("<") else part for part in path.split("/"))
    return f"{method} {'/'.join(parts)}"


def _declared(route: str) -> bool:
    # Health belongs to every function, and POST / to every one that hears events.
    return not route.startswith("HEAD ") and route not in ("GET /healthz", "GET /readyz", "POST /")
