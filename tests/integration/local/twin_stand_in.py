"""A supervisor with real servers and two stand-ins: `twin_stand_in.py STATE`; says when it is ready."""

import sys
from pathlib import Path

from shared.cli.dev import stopped_by_signals
from shared.local.servers.postgres import Postgres
from shared.local.servers.redis import Redis
from shared.local.state import State
from shared.local.supervisor import Child, Supervisor
from tests.integration.local.waiting import stand_in


class StandInTwin:
    """Only the servers and the supervisor are the real ones."""

    def __init__(self, folder: Path) -> None:
        self._state = State.open(folder)
        logs = self._state.subfolder("logs")
        self._supervisor = Supervisor(self._state.twin_id, logs, lambda said: print(said, flush=True))

    def start(self) -> None:
        folder = self._state.folder
        for server in (Postgres(folder / "postgres"), Redis(folder / "redis")):
            server.prepare(self._state.port(type(server).__name__))
            self._supervisor.start(
                Child(
                    type(server).__name__,
                    server.command(),
                    server.env,
                    server.answers,
                    stop_signal=server.stop_signal,
                    user=server.user,
                )
            )
        self._supervisor.start(stand_in("one", self._state.port("one"), "--with-worker", stage=1))
        self._supervisor.start(stand_in("two", self._state.port("two"), "--stubborn", stage=1))
        self._supervisor.wait()
        print("ready", self._state.twin_id, flush=True)

    def stop(self) -> None:
        self._supervisor.stop()

    def hurry(self) -> None:
        self._supervisor.hurry()


if __name__ == "__main__":
    twin = StandInTwin(Path(sys.argv[1]))
    try:
        with stopped_by_signals(twin) as told:
            twin.start()
            told.wait(300)
    except KeyboardInterrupt:
        print("stopped", flush=True)
