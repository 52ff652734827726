"""The end-to-end suite as a program of its own, with nothing of this shell's variables."""

import os
import subprocess
import sys

import pytest

from tests.architecture.tree import ROOT

# What says where it hangs: less than any limit of the tests that run it.
SECONDS = 600


def suite(**variables: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FACTEUR_", "PYTEST_"))}
    command = [sys.executable, "-m", "tests.e2e", "-v", "-p", "no:cacheprovider", "--color=no"]
    try:
        return subprocess.run(command, cwd=ROOT, env=clean | variables, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as hung:
        # What it wrote is bytes whatever was asked for.
        pytest.fail(f"the suite has not ended after {SECONDS} s:\n{(hung.stdout or b'').decode()}")
