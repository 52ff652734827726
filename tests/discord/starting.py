"""A command that waits for a process which starts: how long until it is acknowledged."""

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import urllib3

from shared.local.discord import COMMAND, command, interaction, signed
from tests.discord.simulator import ADA, KEY

_HTTP = urllib3.PoolManager(retries=False, timeout=10)
_TRY_SECONDS = 0.002


@dataclass(frozen=True)
class Start:
    """Seconds from the start of a process to its acknowledgement: on the clock, and of processor time."""

    took: float
    worked: float


def acknowledged_from_zero(started: Callable[[], "subprocess.Popen[bytes]"], url: str) -> Start:
    """`started` starts the process that is to answer at `url`, and is left to whoever made it."""
    body, headers = signed(KEY.encode().hex(), interaction(COMMAND, command(["codex", "plan"], {"prompt": "x"}), ADA))
    began = time.monotonic()
    process = started()
    answer = _answered(process, url, body, headers)
    took = time.monotonic() - began
    assert answer == {"type": 5}, answer
    server = psutil.Process(process.pid)
    return Start(took, sum(sum(one.cpu_times()[:2]) for one in (server, *server.children(recursive=True))))


def _answered(process: "subprocess.Popen[bytes]", url: str, body: bytes, headers: Mapping[str, str]) -> Any:
    while process.poll() is None:
        try:
            return json.loads(_HTTP.request("POST", url, body=body, headers=headers).data)
        except urllib3.exceptions.HTTPError:
            time.sleep(_TRY_SECONDS)
    raise AssertionError("the process did not start")
