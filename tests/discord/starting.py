"""A command that waits for a process which starts: how long until it is acknowledged."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import urllib3

from shared.local.discord import COMMAND, command, interaction, signed
from tests.discord.simulator import ADA, KEY

_HTTP = urllib3.PoolManager(retries=False, timeout=10)
_TRY_SECONDS = 0.002


@dataclass(frozen=True)
class Start:
    """Seconds from the start of a process to its acknowledgement: on the clock, and of processor time.

    `waited` are those of the clock in which it could have gone on, and others had the processors.
    """

    took: float
    worked: float
    waited: float


def acknowledged_from_zero(started: Callable[[], "subprocess.Popen[bytes]"], url: str) -> Start:
    """`started` starts the process that is to answer at `url`, and is left to whoever made it."""
    body, headers = signed(KEY.encode().hex(), interaction(COMMAND, command(["codex", "plan"], {"prompt": "x"}), ADA))
    began = time.monotonic()
    process = started()
    answer = _answered(process, url, body, headers)
    took = time.monotonic() - began
    assert answer == {"type": 5}, answer
    server = psutil.Process(process.pid)
    # A process that starts another one sleeps until that is done: their waits follow one another.
    every = (server, *server.children(recursive=True))
    return Start(took, sum(sum(one.cpu_times()[:2]) for one in every), sum(_waited(one.pid) for one in every))


def _waited(process: int) -> float:
    """For how long one of its threads was ready and had no processor; 0 where the system does not say."""
    waits = [0.0]
    for thread in Path(f"/proc/{process}/task").glob("*"):
        with contextlib.suppress(OSError):
            waits.append(int((thread / "schedstat").read_text().split()[1]) / 1e9)
    return max(waits)


def _answered(process: "subprocess.Popen[bytes]", url: str, body: bytes, headers: Mapping[str, str]) -> Any:
    while process.poll() is None:
        try:
            return json.loads(_HTTP.request("POST", url, body=body, headers=headers).data)
        except urllib3.exceptions.HTTPError:
            time.sleep(_TRY_SECONDS)
    raise AssertionError("the process did not start")
