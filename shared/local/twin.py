"""The whole system on one laptop: real servers, the broker, six functions, the launcher, one URL."""

import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from shared.local.children import FUNCTIONS, SERVERS, broker, function, gateway, node, status
from shared.local.discord import API, APPLICATION, GUILD
from shared.local.servers.embedded import EmbeddedServer
from shared.local.servers.postgres import Postgres
from shared.local.servers.redis import Redis
from shared.local.state import CannotStart, State
from shared.local.supervisor import Child, Supervisor

RELAYED_AFTER = 3.0  # seconds: the age at which the outbox is relayed
POLICY = Path(__file__).with_name("policy.yaml")
SCOPES = ("tasks:write", "tasks:read", "memory:read")


@dataclass(frozen=True, slots=True)
class TwinSettings:
    """`port` is the gateway's: None takes the one of the last time, or a free one.

    `holdout_share`: the share of tasks that are shown no memories; None is what the environment says.
    """

    state: Path = Path(".facteur")
    port: int | None = None
    fresh: bool = False
    log_level: str = "INFO"
    runner_command: Sequence[str] = (sys.executable, "-m", "shared.local.agent")
    holdout_share: float | None = None


@dataclass(frozen=True, slots=True)
class TwinInfo:
    """How to use a running twin. `ports` and the files in `logs` are named after its processes."""

    twin_id: str
    url: str
    broker_url: str
    api_token: str = field(repr=False)
    discord_private_key: str = field(repr=False)
    discord_public_key: str
    dsn: str = field(repr=False)
    redis_url: str = field(repr=False)
    logs: Path
    ports: Mapping[str, int]


class Twin:
    """Started by `start` or `with`; FACTEUR_POSTGRES_DSN and FACTEUR_REDIS_URL replace its servers."""

    def __init__(self, settings: TwinSettings, said: Callable[[str], None] = print) -> None:
        self._settings = settings
        self._said = said
        self._state: State | None = None
        self._supervisor: Supervisor | None = None
        self._broker_port = 0

    def start(self) -> TwinInfo:
        """Until everything serves. Raises FacteurError with a sentence that says what to change."""
        try:
            return self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process of the twin. Repeatable."""
        if self._supervisor is not None:
            self._supervisor.stop()
            self._supervisor = None
        if self._state is not None:
            self._state.close()
            self._state = None

    def hurry(self) -> None:
        """Let a `stop` that is under way wait no longer."""
        if self._supervisor is not None:
            self._supervisor.hurry()

    def pid(self, name: str) -> int | None:
        """The process id of one of the twin's processes."""
        return self._supervisor.pid(name) if self._supervisor is not None else None

    def __enter__(self) -> TwinInfo:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> TwinInfo:
        state = self._state = State.open(self._settings.state, self._settings.fresh)
        ports = {"gateway": state.port("gateway", self._settings.port)}
        ports |= {name: state.port(name) for name in ("broker", *FUNCTIONS)}
        self._broker_port = ports["broker"]
        logs = state.subfolder("logs")
        own_dsn, own_redis = os.environ.get("FACTEUR_POSTGRES_DSN"), os.environ.get("FACTEUR_REDIS_URL")
        if own_dsn:
            _migrate(own_dsn)
        if own_redis:
            _check_redis(own_redis)
        supervisor = self._supervisor = Supervisor(state.twin_id, logs, self._said, self._restarted)
        dsn = own_dsn or self._serve("postgres", Postgres(state.folder / "postgres"), ports)
        redis_url = own_redis or self._serve("redis", Redis(state.subfolder("redis")), ports)
        info = TwinInfo(
            twin_id=state.twin_id,
            url=f"http://127.0.0.1:{ports['gateway']}",
            broker_url=f"http://127.0.0.1:{ports['broker']}",
            api_token=state.api_token,
            discord_private_key=state.discord_private_key,
            discord_public_key=state.discord_public_key,
            dsn=dsn,
            redis_url=redis_url,
            logs=logs,
            ports=ports,
        )
        env = self._environment(state, info)
        for name in FUNCTIONS:
            supervisor.start(function(name, ports[name], env))
        if not own_redis:
            supervisor.wait("redis")
        if not own_dsn:
            supervisor.wait("postgres")
            _migrate(dsn)
        for child in (broker(ports, state, env), node(info.broker_url, state, env), gateway(ports, env)):
            supervisor.start(child)
        supervisor.wait()
        return info

    def _serve(self, name: str, server: EmbeddedServer, ports: dict[str, int]) -> str:
        assert self._state is not None and self._supervisor is not None  # noqa: S101 - called by _start alone
        ports[name] = self._state.port(name)
        server.prepare(ports[name])
        self._supervisor.start(
            Child(
                name,
                server.command(),
                server.env,
                ready=server.answers,
                stage=SERVERS,
                stop_signal=server.stop_signal,
                user=server.user,
            )
        )
        return server.url

    def _environment(self, state: State, info: TwinInfo) -> dict[str, str]:
        """The settings that the functions have when they are deployed, under the same names."""
        digest = hashlib.sha256(info.api_token.encode()).hexdigest()
        callers = [{"caller": "laptop", "sha256": digest, "scopes": SCOPES}]
        settings = {
            "FACTEUR_POSTGRES_DSN": info.dsn,
            "FACTEUR_REDIS_URL": info.redis_url,
            "K_SINK": info.broker_url,
            "FACTEUR_API_TOKENS": json.dumps(callers),
            "FACTEUR_TOKEN_SECRET": state.token_secret,
            "FACTEUR_CALLBACK_URL": info.url,
            "FACTEUR_MEMORY_URL": info.url,
            "FACTEUR_ARTIFACTS_DIR": str(state.subfolder("artifacts")),
            "FACTEUR_JOBS_DIR": str(state.subfolder("jobs")),
            "FACTEUR_RUNNER_COMMAND": json.dumps(list(self._settings.runner_command)),
            "FACTEUR_LOG_LEVEL": self._settings.log_level,
        }
        if self._settings.holdout_share is not None:
            settings["FACTEUR_MEMORY_HOLDOUT_SHARE"] = f"{self._settings.holdout_share:g}"
        defaults = {"FACTEUR_DISCORD_PUBLIC_KEY": info.discord_public_key, "FACTEUR_POLICY_FILE": str(POLICY)}
        if not os.environ.get("FACTEUR_DISCORD_APPLICATION_ID"):
            # Nobody's application: what is written to it is shown here, and the real Discord is left alone.
            # It has one server, on which everything may be seen.
            settings |= {"FACTEUR_DISCORD_APPLICATION_ID": APPLICATION, "FACTEUR_DISCORD_API_URL": info.url + API}
            settings |= {"FACTEUR_DISCORD_GUILD_ID": GUILD}
        return defaults | dict(os.environ) | settings

    def _restarted(self, _name: str) -> None:
        """Let the ping sources fire: what was cut off need not wait for the minute.

        A second time when its events are old enough to be relayed.
        """
        ping = ("POST", self._broker_port, "/ping")
        status(*ping)
        later = threading.Timer(RELAYED_AFTER + 0.5, status, ping)
        later.daemon = True
        later.start()


def _migrate(dsn: str) -> None:
    from shared.postgres.migrations import migrate  # late: loads the driver, while the children start

    migrate(dsn)


def _check_redis(url: str) -> None:
    import redis  # late: only where the embedded server is replaced

    try:
        with redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5) as client:
            client.ping()
    except ValueError:
        raise CannotStart("FACTEUR_REDIS_URL is not a URL like redis://user:password@host:6379/0.") from None
    except redis.RedisError:
        raise CannotStart(
            "Redis does not answer at FACTEUR_REDIS_URL: is it up, are user and password right?"
        ) from None
