"""Runs a suite of the repository against the cluster, in a process of its own and without a change to it."""

import os
import subprocess
import sys
from collections.abc import Mapping

from tests.knative.platform.cluster import ROOT


def passes(suite: str, environment: Mapping[str, str], *arguments: str) -> bool:
    """Whether all its tests pass that can be run; what it says is shown."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-n",
        "0",
        "-rs",
        "-v",
        "--timeout=600",
        *arguments,
        suite,
    ]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=False).returncode == 0
