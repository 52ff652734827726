"""`python -m shared.runner [OPTION…] -- COMMAND [ARGUMENT…]`: any command as the agent of a task."""

from __future__ import annotations

import logging
import os
import sys

from shared.runner.errors import Fenced, Refused, RunnerError
from shared.runner.task import Task
from shared.runner.wrapping.arguments import read_arguments
from shared.runner.wrapping.run import run

OVER = 75
INTERRUPTED = 130


def main() -> int:
    logging.basicConfig(format="facteur: %(message)s")
    options = read_arguments(sys.argv[1:])
    try:
        with Task.from_env() as task:
            return run(task, options, os.environ)
    except RunnerError as error:
        print(f"facteur: {error}.", file=sys.stderr)
        return OVER if isinstance(error, (Fenced, Refused)) else 1
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
