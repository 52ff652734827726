"""Runs a suite of the repository against the cluster, in a process of its own and without a change to it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.knative.platform.cluster import ROOT


def passes(suite: str, environment: Mapping[str, str], *arguments: str) -> bool:
    """Whether all its tests pass, and none is skipped; what it says is shown."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
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
            f"--junitxml={report}",
            *arguments,
            suite,
        ]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=False)
        return done.returncode == 0 and "<skipped" not in report.read_text()
