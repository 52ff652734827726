"""Tests of a real node never pass by doing nothing."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_where_no_node_can_run_nothing_is_run_and_the_reason_is_told(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    command = [sys.executable, "-m", "tests.knative", "run", "--", "/usr/bin/touch", str(ran)]
    # Without PATH every machine lacks something.
    done = subprocess.run(
        command, cwd=REPOSITORY, env={**os.environ, "PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "A node cannot run on this machine" in done.stderr
    assert "apt-get install" in done.stderr
    assert not ran.exists()
