"""The command line of the wrapper."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_USAGE = "python -m shared.runner [OPTION…] -- COMMAND [ARGUMENT…]"

_ABOUT = """\
Runs a coding agent as one attempt of a task: gives it the prompt, reports what it does, and how it ends.

What the task is comes from the environment of the container: CODEX_TASK_ID, CODEX_ATTEMPT,
CODEX_PROMPT_FILE, CODEX_CALLBACK_URL, CODEX_CALLBACK_TOKEN_FILE, CODEX_MEMORY_ENDPOINT and, where they
are set, CODEX_DEADLINE, CODEX_SPOOL_DIR and TRACEPARENT.

The agent finds its prompt on standard input, as `codex exec --json` and `codex exec --json -` read it. If
an argument is exactly {prompt}, or has {prompt_file} in it, the prompt or the path of a file with it is put
there, and standard input is empty. No shell is involved.

The agent has the environment of the wrapper without CODEX_CALLBACK_TOKEN_FILE and CODEX_SPOOL_DIR, and
with CODEX_READ_CREDENTIAL_FILE: a file with a token that can read the memory and this task, and no more.
"""

_ENDS = """\
The end: exit code 0, and no turn that failed, is `completed`, with the last message of the agent (text:
with the last lines of its standard output). Anything else is `failed`, with the reason. The exit code is
the agent's own, 1 where its turn failed, 128 + n where signal n ended it, 124 at the deadline,
75 where the attempt is over for the callback, 127 where the command cannot be found, and 2 for wrong usage.

Signals: SIGTERM and SIGINT are passed on to the agent, which has two seconds to end before it is killed with
all that it started; a second signal kills at once. At the deadline it is told by SIGTERM, some seconds
before the time (a fifth of what is left at the start, at most 15 s), so that the report is in time.
"""


@dataclass(frozen=True)
class Options:
    """What to run, and how. `artifacts` are globs below `workspace`."""

    command: tuple[str, ...]
    workspace: Path
    codex: bool
    artifacts: tuple[str, ...]
    memories: int
    heartbeat: float


def read_arguments(arguments: Sequence[str]) -> Options:
    """The options; SystemExit with code 2, or 0 for --help, as argparse does it."""
    parser = _parser()
    at = list(arguments).index("--") if "--" in arguments else len(arguments)
    own, command = arguments[:at], tuple(arguments[at + 1 :])
    options = parser.parse_args(own)
    if not command:
        parser.error("which command? Write it behind --")
    codex = options.format == "codex" or (options.format == "auto" and _speaks_codex(command))
    return Options(
        command, options.workspace.resolve(), codex, tuple(options.artifact), options.memories, options.heartbeat
    )


def _parser() -> argparse.ArgumentParser:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m shared.runner", usage=_USAGE, description=_ABOUT, epilog=_ENDS, formatter_class=shape
    )
    parser.add_argument(
        "--artifact",
        metavar="GLOB",
        action="append",
        default=[],
        type=_glob,
        help="leave the files that match with the task once the agent has ended; may be given again. Relative to the "
        "workspace; ** is any number of folders; no link is followed and * stands for no name with a leading dot. "
        "At most 100 files and 256 MiB in all",
    )
    parser.add_argument(
        "--workspace", metavar="DIR", type=_folder, default=Path(), help="where the agent works (default: here)"
    )
    parser.add_argument(
        "--format",
        choices=("auto", "codex", "text"),
        default="auto",
        help="how to read standard output: as the JSON lines of `codex exec --json`, or as lines of text. auto is "
        "codex where the command is named codex and has the argument --json",
    )
    parser.add_argument(
        "--memories",
        metavar="N",
        type=_count,
        default=5,
        help="how many memories to put into a prompt that holds none, 0 to 50 (default 5)",
    )
    parser.add_argument(
        "--heartbeat",
        metavar="SECONDS",
        type=_seconds,
        default=15.0,
        help="say that the work goes on after so long a silence (default 15)",
    )
    return parser


def _speaks_codex(command: Sequence[str]) -> bool:
    return PurePosixPath(command[0]).name == "codex" and "--json" in command[1:]


def _glob(text: str) -> str:
    parts = text.split("/")
    if not text or text.startswith("/") or ".." in parts or "\x00" in text:
        raise argparse.ArgumentTypeError("must be a path below the workspace, without ..")
    return text


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError("is not a folder")
    return Path(text)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 50:
        raise argparse.ArgumentTypeError("must be a whole number from 0 to 50")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("must be a number from 0.1 to 3600")
    return seconds
