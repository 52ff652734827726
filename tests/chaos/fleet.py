"""Several processes of one function on one database, which are killed and come back."""

import itertools
import os
import random
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.component.functions import Function, await_health, start

_BACK_WITHIN = 60.0


class Fleet:
    """The processes, each with its port for ever."""

    def __init__(self, name: str, size: int, env: Mapping[str, str], folder: Path) -> None:
        self._name = name
        self._env = env
        self.functions = [start(name, env, folder / f"log-{n}") for n in range(size)]
        self.kills = 0

    def kill(self, n: int) -> None:
        """SIGKILL to the process and its worker, and a new one in its place."""
        killed = self.functions[n]
        end_at_once(killed)
        self.functions[n] = start(self._name, self._env, killed.log, urlsplit(killed.url).port)
        self.kills += 1


def end_at_once(function: Function) -> None:
    os.killpg(function.process.pid, signal.SIGKILL)
    function.process.wait()


@contextmanager
def fleet(name: str, size: int, env: Mapping[str, str], folder: Path) -> Iterator[Fleet]:
    fleet = Fleet(name, size, env, folder)
    try:
        for function in fleet.functions:
            await_health(function)
        yield fleet
    finally:
        for function in fleet.functions:
            end_at_once(function)


@contextmanager
def killing(fleet: Fleet, chance: random.Random) -> Iterator[None]:
    """One process after the other is killed, each some time after the last one is back."""
    over = threading.Event()

    def kill() -> None:
        for n in itertools.count():
            if over.wait(chance.uniform(1, 3)):
                return
            fleet.kill(n % len(fleet.functions))
            await_health(fleet.functions[n % len(fleet.functions)], _BACK_WITHIN)

    with ThreadPoolExecutor(1) as thread:
        killer = thread.submit(kill)
        try:
            yield
        finally:
            over.set()
        killer.result()
