"""A healthy install, as a doctor is told of it: the project's own manifests, and servers that are as they should be."""

import base64
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from shared.doctor.checks import Unseen
from shared.doctor.cluster import COLLECTIONS
from shared.doctor.examination import settings_of
from shared.doctor.in_cluster import look_at_cluster
from shared.domain.cluster import Right
from shared.domain.condition import Address, Bucket, Clock, DatabaseServer, Index, Model, Redis, Role, Schema, Work
from shared.domain.errors import Unavailable

ROOT = Path(__file__).parents[3]
NAMESPACE = "facteur"
NOW = 1_800_000_000.0
MODEL = "text-embedding-3-large:3072"
Objects = dict[str, list[dict[str, Any]]]
_WIDE = {"Namespace", "ClusterRole", "ClusterRoleBinding"}
_TOKEN = "0123456789abcdef" * 4
# By the name of a Secret what it holds, as `knative/platform/secrets` makes it.
_SECRETS = {
    "facteur-secrets": {"FACTEUR_TOKEN_SECRET": _TOKEN, "FACTEUR_API_TOKENS": "[]", "OPENAI_API_KEY": "a-key"},
    "facteur-redis": {"url": "redis://:password@facteur-redis:6379/0"},
    "facteur-minio": {"MINIO_ACCESS_KEY": "key", "MINIO_SECRET_KEY": "secret"},
}
_FUNCTIONS = ("discord-interaction", "codex-intake", "dispatcher", "callback", "embedder", "memory-query")


@cache
def read() -> tuple[dict[str, Any], ...]:
    """The manifests; whoever changes them copies them first."""
    return tuple(manifests())


def manifests() -> Iterator[dict[str, Any]]:
    """What `knative/` and `eventing/` hold, without what only overlays add."""
    places = [ROOT / "knative" / "base", ROOT / "knative" / "platform", ROOT / "eventing"]
    files = [file for place in places for file in place.glob("*.yaml")]
    files += [*(ROOT / "eventing" / "sources").glob("*.yaml"), *(ROOT / "eventing" / "triggers").glob("*.yaml")]
    for file in sorted(files):
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            if document and "apiVersion" in document and document["kind"] != "Kustomization":
                if document["kind"] not in _WIDE:
                    document["metadata"].setdefault("namespace", NAMESPACE)
                yield document


def objects() -> Objects:
    """Every object of a production install by its kind, as the API server lists them."""
    found: Objects = {kind: [] for kind in COLLECTIONS}
    for document in copy.deepcopy(read()):
        if document["kind"] in found:
            found[document["kind"]].append(document)
    for service in found["Service"]:
        container = service["spec"]["template"]["spec"]["containers"][0]
        container["image"] = f"registry.example/{container['image']}:1.2.3"
        annotations = service["spec"]["template"]["metadata"]["annotations"]
        if service["metadata"]["name"] == "discord-interaction":
            annotations["autoscaling.knative.dev/min-scale"] = "1"
    found["Broker"][0]["metadata"]["annotations"] = {"eventing.knative.dev/broker.class": "Kafka"}
    found["ConfigMap"].append(_named("facteur-settings") | {"data": _settings()})
    secrets = _SECRETS | {f"facteur-postgres-{each}": {"dsn": _dsn(each)} for each in _FUNCTIONS}
    for name, data in secrets.items():
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        found["Secret"].append(_named(name) | {"data": encoded})
    found["Node"].append({"metadata": {"name": "one"}, "status": {"nodeInfo": {"kubeletVersion": "v1.36.0"}}})
    pods = {"template": {"spec": {"containers": [{"name": "calico-node", "image": "calico/node:v3"}]}}}
    found["DaemonSet"].append(_named("calico-node", "kube-system") | {"spec": pods})
    return found


def _named(name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}}


def _dsn(function: str) -> str:
    return f"postgresql://facteur_{function.replace('-', '_')}:secret@facteur-postgres-rw:5432/facteur"


def _settings() -> dict[str, str]:
    lines = [
        line
        for file in ("base/settings.env", "overlays/local/settings.env")
        for line in (ROOT / "knative" / file).read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    return dict(line.split("=", 1) for line in lines)


@dataclass
class Install:
    """What the looks have seen. A test changes one thing, and has the rest judged with it."""

    objects: dict[str, Any] = field(default_factory=objects)
    allowed: bool = True
    others: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(_SERVERS))

    def one(self, kind: str, name: str) -> dict[str, Any]:
        """The object of that name."""
        return next(each for each in self.objects[kind] if each["metadata"]["name"] == name)

    def drop(self, kind: str, name: str) -> None:
        """Takes the object away."""
        self.objects[kind].remove(self.one(kind, name))

    def parts(self) -> Mapping[str, object]:
        """The parts that checks judge."""
        parts = {"local": Unseen("not here", wanted=False), "namespace": NAMESPACE, **self.others}
        parts |= look_at_cluster(Listed(self), NAMESPACE, NOW)
        return parts | {"settings": settings_of(parts)}


class Listed:
    """An API server that has the objects of an install, and no answer for a kind that is Unavailable."""

    def __init__(self, install: Install) -> None:
        self._install = install
        self._kinds = {path.format(NAMESPACE): kind for kind, path in COLLECTIONS.items()}

    def objects(self, path: str) -> Any:
        found = self._install.objects[self._kinds[path]]
        if isinstance(found, Unavailable):
            raise found
        return found

    def allowed(self, account: str, rights: Sequence[Right]) -> list[bool]:
        return [self._install.allowed for _ in rights]


_INDEX = Index(name="idx_outbox_created", valid=True, building=False)
_SERVERS: dict[str, Any] = {
    "database": DatabaseServer(
        version=180_001,
        vector="0.8.1",
        vector_offered="0.8.1",
        settings={"max_connections": "300", "superuser_reserved_connections": "3", "server_encoding": "UTF8"},
        connections=12,
        oldest_transaction=0.2,
        in_recovery=False,
    ),
    "schema": Schema(
        applied={"0001_a.sql": "a", "0002_b.sql": "b"},
        shipped={"0001_a.sql": "a", "0002_b.sql": "b"},
        indexes={
            "idx_outbox_created": _INDEX,
            "the_memory_index": Index(name="the_memory_index", valid=True, building=False),
        },
        wanted_indexes={
            "idx_outbox_created": "CREATE INDEX CONCURRENTLY idx_outbox_created ON codex_kb.outbox (created_at);"
        },
        roles=(Role(name="facteur_callback"), Role(name="public")),
    ),
    "work": Work(
        models=(
            Model(model=MODEL, state="active", age=9e6, big=True, odd=False, index="the_memory_index", migrating=False),
        )
    ),
    "redis": Redis(
        info={
            "redis_version": "8.0.1",
            "maxmemory": "0",
            "maxmemory_policy": "noeviction",
            "aof_enabled": "1",
            "rdb_last_bgsave_status": "ok",
            "aof_last_write_status": "ok",
            "role": "master",
            "used_memory": "1000",
        },
        save="",
        password=True,
        local=False,
    ),
    "bucket": Bucket("facteur", 404, "NoSuchKey"),
    "clocks": [Clock("PostgreSQL", 0.2, 0.1), Clock("the API server", -4.0, 0.6)],
    "away": {},
    "addresses": [Address("FACTEUR_CALLBACK_URL", "127.0.0.1:8080", listens=True)],
}
