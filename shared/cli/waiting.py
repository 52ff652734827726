"""Waiting for what comes up by itself, such as a server that is just being made."""

import re
import time
from collections.abc import Callable
from typing import TypeVar

import typer

from shared.domain.errors import Unavailable

T = TypeVar("T")

_UNITS = {"s": 1, "m": 60, "h": 3600}
_PAUSE_SECONDS = 1.0


def seconds(raw: str) -> float:
    """A parser of options: `90s`, `30m` or `1h`, in seconds."""
    match = re.fullmatch(r"([0-9]{1,5})([smh])", raw)
    if not match:
        raise typer.BadParameter("must be a whole number and s, m or h, such as 30m")
    return float(int(match[1]) * _UNITS[match[2]])


def until_there(do: Callable[[], T], patience: float, say: Callable[[str], None]) -> T:
    """What `do` returns; as long as it raises Unavailable it is tried again, for `patience` seconds.

    What it waits for is said once, and once more when the reason changes.
    """
    give_up = time.monotonic() + patience
    told = ""
    while True:
        try:
            return do()
        except Unavailable as error:
            left = give_up - time.monotonic()
            if left <= 0:
                raise
            if str(error) != told:
                told = str(error)
                say(f"waiting for up to {left:.0f} s: {told}")
        time.sleep(min(_PAUSE_SECONDS, left))
