"""What an agent is given: an environment, a credential to read with, and the prompt where its command wants it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.runner.content import clean
from shared.runner.token import READING, narrowed

_WITHHELD = ("CODEX_CALLBACK_TOKEN_FILE", "CODEX_SPOOL_DIR")
_SECRET_NAME = re.compile(r"(?i)(?:.*_)?(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)")
# What is shorter stands in too many texts by chance.
_LEAST_SECRET = 8


def agent_environment(environ: Mapping[str, str], token: str, private: Path) -> dict[str, str]:
    """The environment without the whole token's place, and with a token that can read memory and task alone."""
    credential = private / "read-credential"
    _write(credential, narrowed(token, READING) + "\n")
    kept = {name: value for name, value in environ.items() if name not in _WITHHELD}
    return {**kept, "CODEX_READ_CREDENTIAL_FILE": str(credential)}


def secrets_in(environ: Mapping[str, str]) -> list[str]:
    """Values that an agent has in its environment and must not tell, by the names they have."""
    return [value for name, value in environ.items() if len(value) >= _LEAST_SECRET and _SECRET_NAME.fullmatch(name)]


def with_prompt(command: Sequence[str], prompt: str, private: Path) -> tuple[list[str], bytes]:
    """The command with the prompt in it, where it asks for that; otherwise what it finds on standard input."""
    prompt = clean(prompt)
    file = private / "prompt"
    if any("{prompt_file}" in argument for argument in command):
        _write(file, prompt)
    filled = [
        prompt if argument == "{prompt}" else argument.replace("{prompt_file}", str(file)) for argument in command
    ]
    return filled, prompt.encode() if filled == list(command) else b""


def _write(path: Path, text: str) -> None:
    path.touch(0o600, exist_ok=False)
    path.write_bytes(text.encode())
