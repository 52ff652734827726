"""The processes of the local twin, each with its command and how it is known to be ready."""

import http.client
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from shared.local.state import State
from shared.local.supervisor import Child

FUNCTIONS = ("discord-interaction", "codex-intake", "dispatcher", "callback", "embedder", "memory-query")
MANIFESTS = Path(__file__).parents[2] / "eventing"
# What is ended first stands highest: the way in, then the work, then what the work needs.
SERVERS, BROKER, WORK, WAY_IN = range(4)


def function(name: str, port: int, env: Mapping[str, str]) -> Child:
    listen = {"PORT": str(port), "FACTEUR_SERVER_LISTEN_ADDRESS": f"127.0.0.1:{port}"}
    return Child(
        name,
        [sys.executable, "-m", "shared.web.serve", name],
        {**env, **listen},
        ready=lambda: status("GET", port, "/readyz") == 200,
        stage=WORK,
    )


def broker(ports: Mapping[str, int], state: State, env: Mapping[str, str]) -> Child:
    port = ports["broker"]
    command = [sys.executable, "-m", "shared.local.broker", "--listen", f"127.0.0.1:{port}"]
    command += ["--manifests", str(MANIFESTS), "--prefix", state.redis_prefix]
    services = {name: f"http://127.0.0.1:{ports[name]}" for name in FUNCTIONS}
    return Child(
        "broker",
        command,
        {**env, "FACTEUR_LOCAL_SERVICES": json.dumps(services)},
        ready=lambda: status("GET", port, "/readyz") == 200,
        stage=BROKER,
    )


def node(broker_url: str, state: State, env: Mapping[str, str]) -> Child:
    command = [sys.executable, "-m", "shared.local.node", "--broker", broker_url]
    command += ["--jobs", str(state.subfolder("jobs"))]
    return Child("node", command, env, ready=lambda: True, stage=WAY_IN)


def gateway(ports: Mapping[str, int], env: Mapping[str, str]) -> Child:
    port = ports["gateway"]
    command = [sys.executable, "-m", "shared.local.gateway", "--listen", f"127.0.0.1:{port}"]
    for name in ("broker", *FUNCTIONS):
        command += ["--upstream", f"{name}=http://127.0.0.1:{ports[name]}"]
    return Child("gateway", command, env, ready=lambda: status("GET", port, "/healthz") == 200, stage=WAY_IN)


def status(method: str, port: int, path: str) -> int:
    """The status of one request to a loopback port; 0 where there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
