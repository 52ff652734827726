"""`python -m tests.e2e`: the suite against the system that the environment names, or what is missing to name one."""

import os
import sys
from pathlib import Path

import pytest

from tests.e2e import target


def main() -> int:
    """Exit codes: 2 if the environment names no system, else pytest's."""
    try:
        target.read(os.environ)
    except target.TargetError as error:
        print(f"no system to test is named:\n{error}\ndocs/sandbox.md explains the variables.", file=sys.stderr)
        return 2
    # One process: the tests look at the same few tasks.
    return pytest.main(["-n", "0", "-rs", str(Path(__file__).parent), *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
