"""`make fuzz-api`: schemathesis with every check, against codex-intake on PostgreSQL.

What it finds is shown with the request that does it again. `--seed` repeats a run.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shared.local.servers.postgres import Postgres
from shared.postgres.migrations import migrate
from tests.component.functions import API_TOKEN, Function, running, settings, sink

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=800, help="requests an operation and phase, at most")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    options = ["--max-examples", str(given.examples), "--seed", str(given.seed), "--generation-database", "none"]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, intake(Path(folder)) as function:
        raise SystemExit(fuzz(f"{function.url}/openapi.json", options).returncode)


@contextmanager
def intake(folder: Path) -> Iterator[Function]:
    """codex-intake on a PostgreSQL of its own, with a broker that takes everything."""
    folder.chmod(0o711)  # run by root, PostgreSQL is another user
    with Postgres(folder / "postgres") as server, sink() as broker:
        migrate(server.url)
        with running("codex-intake", settings(server.url, broker.url, folder), folder / "log") as function:
            yield function


def fuzz(document: str, options: Sequence[str], capture: bool = False) -> "subprocess.CompletedProcess[str]":
    """Every check and every phase on a document, by its URL or path; the exit code is 0 if nothing was found."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", document]
    command += ["--header", f"Authorization: Bearer {API_TOKEN}", "--checks", "all", "--mode", "all"]
    command += ["--request-timeout", "60", "--no-color", *options]
    env = os.environ | {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:  # it keeps what it finds where it runs
        return subprocess.run(command, cwd=folder, env=env, capture_output=capture, text=True, check=False)


if __name__ == "__main__":
    main()
