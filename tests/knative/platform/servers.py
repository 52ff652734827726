"""PostgreSQL, Redis and MinIO of this machine, under the names by which the manifests know them."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from shared.local.servers.embedded import EmbeddedServer
from shared.local.servers.postgres import Postgres
from shared.local.servers.redis import Redis
from tests.architecture.kustomizations import make_secrets
from tests.cluster.go_modules import Say
from tests.cluster.minio import minio
from tests.knative.cluster.node import Node
from tests.knative.platform.forwarder import Forwarder
from tests.knative.platform.manifests import Manifest

# The owner of the database, and its name.
_OWNER = "facteur"


@dataclass(frozen=True, slots=True)
class Servers:
    """What leads pods to the servers, and this process."""

    manifests: list[Manifest]
    dsn: str
    artifacts: str
    token: str


@contextmanager
def servers(node: Node, say: Say) -> Iterator[Servers]:
    """Servers that the node's pods reach; they end with the `with`, and their data too."""
    address = node.host_address
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="facteur-knative-")))
        store = stack.enter_context(minio(say))
        contents = _contents(store)
        _know(folder / "redis", contents["facteur-redis"]["password"])
        redis, postgres = Redis(folder / "redis"), Postgres(folder / "postgres")
        stack.callback(postgres.erase)
        for server in (postgres, redis):
            _started(stack, server)
        dsn = _make_database(postgres.url, contents)
        ports = {
            "facteur-postgres-rw": ("postgres", postgres.port),
            "facteur-redis": ("redis", redis.port),
            "facteur-minio": ("s3", urlsplit(store["FACTEUR_TEST_S3_ENDPOINT"]).port or 0),
        }
        forwarders = {service: stack.enter_context(Forwarder(address, port)) for service, (_, port) in ports.items()}
        beside = [_slice(service, name, forwarders[service]) for service, (name, _) in ports.items()]
        open_ports = [forwarder.port for forwarder in forwarders.values()]
        beside += [_policy(namespace, node, open_ports) for namespace in ("facteur", "codex")]
        secrets = [make_secrets().manifest(name, data) for name, data in contents.items()]
        token = contents["facteur-secrets"]["first-caller-token"]
        yield Servers([*secrets, *beside], dsn, store["FACTEUR_TEST_S3_ENDPOINT"], token)


def _contents(store: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The Secrets as their program makes them, but for the store, which has its only user already."""
    made: dict[str, dict[str, str]] = make_secrets().contents("prefer", {})
    keys = {
        "MINIO_ACCESS_KEY": store["FACTEUR_TEST_S3_ACCESS_KEY"],
        "MINIO_SECRET_KEY": store["FACTEUR_TEST_S3_SECRET_KEY"],
    }
    return {**made, "facteur-minio": keys}


def _know(folder: Path, password: str) -> None:
    folder.mkdir(mode=0o700)
    (folder / "password").write_text(password)


def _started(stack: ExitStack, server: EmbeddedServer) -> None:
    server.start()
    stack.callback(server.stop)


def _make_database(url: str, contents: Mapping[str, Mapping[str, str]]) -> str:
    """As roles.sh does it in the container of PostgreSQL; where the superuser finds the database."""
    mine = urlsplit(url)
    root = contents["facteur-postgres-superuser"]
    netloc = f"{root['username']}:{root['password']}@{mine.hostname}:{mine.port}"
    with psycopg.connect(url, autocommit=True) as connection:
        _make_role(connection, root, "SUPERUSER")
    roles = [data for name, data in contents.items() if name.startswith("facteur-postgres-") and data is not root]
    with psycopg.connect(mine._replace(netloc=netloc).geturl(), autocommit=True) as connection:
        # This server's first superuser has the name that is the owner's in a cluster, who may do less.
        connection.execute(sql.SQL("ALTER ROLE {} RENAME TO nobody").format(sql.Identifier(_OWNER)))
        for role in roles:
            _make_role(connection, role)
        connection.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(_OWNER)))
    found = mine._replace(netloc=netloc, path=f"/{_OWNER}").geturl()
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
    return found


def _make_role(connection: psycopg.Connection, role: Mapping[str, str], power: LiteralString = "") -> None:
    statement = sql.SQL("CREATE ROLE {} LOGIN " + power + " PASSWORD {}")
    connection.execute(statement.format(sql.Identifier(role["username"]), sql.Literal(role["password"])))


def _slice(service: str, port: str, forwarder: Forwarder) -> Manifest:
    labels = {"kubernetes.io/service-name": service}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{service}-beside", "namespace": "facteur", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": port, "port": forwarder.port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [forwarder.address], "conditions": {"ready": True}}],
    }


def _policy(namespace: str, node: Node, ports: Sequence[int]) -> Manifest:
    """Where policies are enforced: these servers and DNS are no pods here, and the API server has another port."""
    api = urlsplit(node.url).port or 0
    servers = _egress(node.host_address, [("TCP", port) for port in (*ports, api)])
    names = _egress(node.dns_address, [("UDP", 53), ("TCP", 53)])
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "servers-beside", "namespace": namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [servers, names]},
    }


def _egress(address: str, ports: Sequence[tuple[str, int]]) -> Manifest:
    allowed = [{"protocol": protocol, "port": port} for protocol, port in ports]
    return {"to": [{"ipBlock": {"cidr": f"{address}/32"}}], "ports": allowed}
