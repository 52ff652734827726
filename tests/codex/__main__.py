"""Runs a command beside the real Codex CLI, which it installs once."""

import argparse
import os
import sys

from shared.local.state import CannotStart
from tests.codex.program import VARIABLE, codex


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.codex", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("install", help="find or install the program, and say where it is")
    run = verbs.add_parser("run", help=f"become COMMAND, with {VARIABLE} in its environment")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    arguments = parser.parse_args()
    command: list[str] = [] if arguments.verb == "install" else arguments.command
    command = command[1:] if command[:1] == ["--"] else command
    if arguments.verb == "run" and not command:
        run.error("say which command to run")
    try:
        program = codex()
        if arguments.verb == "install":
            print(program)
            return 0
        _become(command, {**os.environ, VARIABLE: str(program)})
    except CannotStart as error:
        print(error, file=sys.stderr)
    return 1


def _become(command: list[str], environment: dict[str, str]) -> None:
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - it is the user's own command
    except OSError as error:
        raise CannotStart(f"{command[0]} cannot be run: {error.strerror}.") from None


if __name__ == "__main__":
    sys.exit(main())
