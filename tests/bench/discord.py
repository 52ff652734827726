"""`make bench-discord`: how long Discord waits for its acknowledgement.

Warm: signed commands over 1, 8 and 32 connections, each sent as soon as the one before is answered, with all that
follows an acknowledgement going on beside it (event, card, session; what stands in for Discord costs little). Beside
it, in the same rounds, a bare Functions Framework handler under the same server that does nothing but verify.
From zero: the same command, sent while the process starts. Goal: none after 2 seconds.
Paced: interactions of every kind at a fixed rate, before the Discord of the tests. Goal: none after 3 seconds.
The load and PostgreSQL share the machine's cores.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from shared.local.servers.postgres import Postgres
from shared.local.servers.redis import Redis
from shared.local.state import free_port
from shared.postgres.database import Database
from shared.postgres.migrations import migrate
from tests.bench.intake import Loaded, ingress
from tests.component.conftest import Stage
from tests.component.functions import DISCORD, await_health, end, settings, sink, start
from tests.discord.pace import Paced, at_rate
from tests.discord.simulator import discord
from tests.discord.stand import Stand
from tests.discord.starting import Start, acknowledged_from_zero

FROM_ZERO_SECONDS = 2.0
BARE, FUNCTION = "bare handler that verifies", "discord-interaction"


@dataclass
class Figures:
    """Loads of one number of connections, one a round."""

    bare: list[Loaded] = field(default_factory=list)
    function: list[Loaded] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--paced", type=int, default=10_000, help="interactions in all")
    parser.add_argument("--rate", type=float, default=50.0, help="interactions a second")
    options = parser.parse_args()
    console = Console(width=120)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name, ExitStack() as stack, console.status("…") as status:
        folder = Path(name)
        folder.chmod(0o711)  # run by root, PostgreSQL is another user
        postgres, redis = Postgres(folder / "postgres"), Redis(folder / "redis")
        stack.enter_context(postgres)
        stack.enter_context(redis)
        migrate(postgres.url)
        env = _environment(stack, postgres.url, redis.url, folder)
        status.update("warm…")
        console.print(warm_table(warm(env, folder, options.rounds, options.seconds, options.connections)))
        status.update("from zero…")
        console.print(start_table(starts(env, folder, options.starts)))
        status.update("paced…")
        console.print(paced_table(paced(postgres.url, redis.url, folder, options.paced, options.rate), options.rate))


def _environment(stack: ExitStack, dsn: str, redis_url: str, folder: Path) -> dict[str, str]:
    """The function's, with a broker and a Discord that cost little."""
    api = stack.enter_context(_running("tests.bench.discord_api", free_port()))
    broker = stack.enter_context(ingress())
    return settings(dsn, broker, folder, redis_url) | {"FACTEUR_DISCORD_API_URL": f"{api}/discord/api"}


@contextmanager
def _running(module: str, port: int, *arguments: str) -> Iterator[str]:
    """The URL of a program of the bench that serves on a port."""
    process = _start(module, port, *arguments)
    try:
        while not _listens(port):
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _start(module: str, port: int, *arguments: str) -> "subprocess.Popen[bytes]":
    key = {"FACTEUR_DISCORD_PUBLIC_KEY": DISCORD.verify_key.encode().hex()}
    command = [sys.executable, "-m", module, str(port), *arguments]
    return subprocess.Popen(command, env={**os.environ, **key}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def warm(
    env: Mapping[str, str], folder: Path, rounds: int, seconds: int, connections: Sequence[int]
) -> dict[int, Figures]:
    figures = {number: Figures() for number in connections}
    for _ in range(rounds):
        for number, found in figures.items():
            with _running("tests.bench.bare", free_port(), "verifying") as url:
                load(url, number, 1)
                found.bare.append(load(url, number, seconds))
            function = start("discord-interaction", env, folder / "log")
            try:
                await_health(function)
                load(f"{function.url}/interactions", number, 1)
                found.function.append(load(f"{function.url}/interactions", number, seconds))
            finally:
                end(function)
    return figures


def load(url: str, connections: int, seconds: int) -> Loaded:
    command = [sys.executable, "-m", "tests.bench.interaction_load", url, str(connections), str(seconds)]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    if said["failed"]:
        raise SystemExit(f"{said['failed']} of {len(said['taken'])} commands were not acknowledged")
    return Loaded(said["taken"], len(said["taken"]) / said["seconds"])


def starts(env: Mapping[str, str], folder: Path, number: int) -> dict[str, list[Start]]:
    """The function beside the bare handler, in turn."""
    taken: dict[str, list[Start]] = {BARE: [], FUNCTION: []}
    for _ in range(number):
        for name, found in taken.items():
            port, begun = free_port(), list["subprocess.Popen[bytes]"]()
            begin = partial(_begin, name, env, folder, port, begun)
            path = "/interactions" if name == FUNCTION else "/"
            try:
                found.append(acknowledged_from_zero(begin, f"http://127.0.0.1:{port}{path}"))
            finally:
                for process in begun:
                    process.terminate()
                    process.wait()
    return taken


def _begin(
    name: str, env: Mapping[str, str], folder: Path, port: int, begun: list["subprocess.Popen[bytes]"]
) -> "subprocess.Popen[bytes]":
    if name == BARE:
        begun.append(_start("tests.bench.bare", port, "verifying"))
    else:
        begun.append(start("discord-interaction", env, folder / "log", port).process)
    return begun[-1]


def paced(dsn: str, redis_url: str, folder: Path, number: int, rate: float) -> Sequence[Paced]:
    database = Database(dsn)
    try:
        with discord() as app, sink() as broker:
            stand = Stand(app, broker, Stage(dsn, database), redis_url, folder)
            with stand.function() as function:
                return at_rate(app, function.url, number, rate)
    finally:
        database.close()


def warm_table(figures: Mapping[int, Figures]) -> Table:
    rounds = len(next(iter(figures.values())).function)
    headings = (
        "conns",
        "bare p50",
        "p99 ms",
        "bare/s",
        "function p50",
        "p99 ms ",
        "function/s",
        "p50 ratio",
        "p99 ratio",
    )
    shown = _table(f"Acknowledgements beside a handler that verifies, {rounds} rounds", headings)
    for number, found in figures.items():
        bare, function = _quantiles(found.bare), _quantiles(found.function)
        shown.add_row(
            str(number),
            *(f"{1000 * value:.1f}" for value in bare),
            f"{statistics.median(one.rate for one in found.bare):,.0f}",
            *(f"{1000 * value:.1f}" for value in function),
            f"{statistics.median(one.rate for one in found.function):,.0f}",
            *(f"{mine / theirs:.2f}" for mine, theirs in zip(function, bare, strict=True)),
        )
    return shown


def start_table(taken: Mapping[str, Sequence[Start]]) -> Table:
    number = len(taken[FUNCTION])
    headings = ("process", "median s", "max s", f"after {FROM_ZERO_SECONDS:g} s", "processor s", "ratio")
    shown = _table(
        f"Process start to acknowledgement, {number} of each (goal: 0 after {FROM_ZERO_SECONDS:g} s)", headings
    )
    bare = statistics.median(one.took for one in taken[BARE])
    for name, found in taken.items():
        took = [one.took for one in found]
        shown.add_row(
            name,
            *(f"{value:.2f}" for value in (statistics.median(took), max(took))),
            str(sum(one > FROM_ZERO_SECONDS for one in took)),
            f"{statistics.median(one.worked for one in found):.2f}",
            f"{statistics.median(took) / bare:.2f}",
        )
    return shown


def paced_table(came: Sequence[Paced], rate: float) -> Table:
    shown = _table(
        f"{len(came):,} interactions at {rate:g}/s (goal: 0 after 3 s)", ("p50 ms", "p99 ms", "max ms", "late")
    )
    cut = statistics.quantiles([one.seconds for one in came], n=100)
    figures = (cut[49], cut[98], max(one.seconds for one in came))
    shown.add_row(*(f"{1000 * value:.1f}" for value in figures), str(sum(one.late for one in came)))
    return shown


def _quantiles(loads: Sequence[Loaded]) -> tuple[float, float]:
    cut = statistics.quantiles([seconds for one in loads for seconds in one.taken], n=100)
    return cut[49], cut[98]


def _table(title: str, headings: Sequence[str]) -> Table:
    shown = Table(title=title)
    for heading in headings:
        shown.add_column(heading, justify="left" if heading == "process" else "right")
    return shown


if __name__ == "__main__":
    main()
