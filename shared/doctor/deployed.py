"""The settings that functions have in a cluster, put together as Kubernetes does it."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.doctor.checks import NotLooked
from shared.doctor.cluster import Cluster, container, labels, name, spec
from shared.doctor.reading import mistakes
from shared.domain.cluster import Object, Unlisted
from shared.domain.condition import Function
from shared.settings import CONFIG_FILE
from shared.web.serve import FUNCTIONS

# What names a file of the pod, and what stands for it here: the file itself cannot be read.
_FILES = {"FACTEUR_POLICY_FILE": "", "FACTEUR_API_TOKENS_FILE": "", "FACTEUR_KUBERNETES_CREDENTIALS_DIR": ""}
_SINK = "K_SINK"
# What stands for the address that a SinkBinding will give.
TO_BE_BOUND = "http://to-be-bound"


@dataclass(frozen=True)
class Missing:
    """A ConfigMap or Secret, or a key of one, that a function's pod waits for."""

    function: str
    kind: str
    name: str
    key: str = ""


@dataclass(frozen=True)
class Deployed:
    """The functions of a namespace, by name, with their settings; `opaque` are those that read a file of their pod."""

    namespace: str
    functions: Mapping[str, Function]
    missing: tuple[Missing, ...]
    opaque: tuple[str, ...] = ()

    def setting(self, function: str, variable: str, default: str = "") -> str:
        """What a function has for a variable; NotLooked for one that reads a file of its pod."""
        if function in self.opaque:
            raise NotLooked(f"{function} reads a file in its pod ({CONFIG_FILE})")
        known = self.functions.get(function)
        return (known.settings.get(variable) if known else None) or default

    def database_user(self, function: str) -> str:
        """The role that a function has in its database, by what libpq makes of its DSN; "" if that says none."""
        from shared.postgres.roles import user

        return user(self.functions[function].settings.get("FACTEUR_POSTGRES_DSN", ""))


def deployed(cluster: Cluster) -> Deployed | Unlisted:
    """Unlisted where ConfigMaps, Secrets or the functions themselves may not be read."""
    for kind in ("Service", "ConfigMap", "Secret"):
        listed = cluster.listed.get(kind, Unlisted.NOT_SERVED)
        if isinstance(listed, Unlisted):
            return listed
    objects = {name(each): each for each in cluster.all("Service") if name(each) in FUNCTIONS}
    functions, missing, opaque = {}, list[Missing](), list[str]()
    for function, service in objects.items():
        environment = _Environment(cluster, function, missing)
        settings = dict(environment.of(service))
        if _SINK not in settings and bound(cluster, service):
            settings[_SINK] = TO_BE_BOUND
        if settings.get(CONFIG_FILE):
            opaque.append(function)
        else:
            wrong = mistakes(function, _without_files(settings))
            functions[function] = Function(function, settings, wrong, deployed=True)
    return Deployed(cluster.namespace, functions, tuple(missing), tuple(opaque))


def bound(cluster: Cluster, function: Object) -> bool:
    """Whether a SinkBinding means the function."""
    return any(_means(spec(each, "subject") or {}, function) for each in cluster.some("SinkBinding"))


def _means(subject: Mapping[str, Any], function: Object) -> bool:
    if subject.get("kind") != "Service" or not str(subject.get("apiVersion", "")).startswith("serving.knative.dev/"):
        return False
    if subject.get("name"):
        return bool(subject["name"] == name(function))
    wanted = (subject.get("selector") or {}).get("matchLabels") or {}
    return bool(wanted) and wanted.items() <= labels(function).items()


def _without_files(settings: Mapping[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in settings.items() if key not in _FILES}
    if settings.get("FACTEUR_API_TOKENS_FILE"):
        kept.setdefault("FACTEUR_API_TOKENS", "[]")
    return kept


class _Environment:
    """The variables of one function's container; what they need and is not there goes to `missing`."""

    def __init__(self, cluster: Cluster, function: str, missing: list[Missing]) -> None:
        self._cluster = cluster
        self._function = function
        self._missing = missing

    def of(self, service: Object) -> Iterator[tuple[str, str]]:
        """Name and value; a later one of the same name wins."""
        own = container(service)
        for source in own.get("envFrom") or ():
            yield from self._whole(source)
        for variable in own.get("env") or ():
            value = variable.get("value")
            if isinstance(value, str):
                yield variable["name"], value
            elif (found := self._one(variable.get("valueFrom") or {})) is not None:
                yield variable["name"], found

    def _whole(self, source: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for kind, reference in (("ConfigMap", source.get("configMapRef")), ("Secret", source.get("secretRef"))):
            if reference:
                data = self._data(kind, reference)
                yield from ((source.get("prefix", "") + key, value) for key, value in data.items())

    def _one(self, source: Mapping[str, Any]) -> str | None:
        for kind, reference in (("ConfigMap", source.get("configMapKeyRef")), ("Secret", source.get("secretKeyRef"))):
            if reference:
                data = self._data(kind, reference)
                there = self._cluster.named(kind, reference["name"]) is not None
                if there and reference["key"] not in data and not reference.get("optional"):
                    self._missing.append(Missing(self._function, kind, reference["name"], reference["key"]))
                return data.get(reference["key"])
        # Of the pod itself: that it is there is all that is known.
        return "from-the-pod" if source else None

    def _data(self, kind: str, reference: Mapping[str, Any]) -> dict[str, str]:
        found = self._cluster.named(kind, reference["name"])
        if found is None:
            absent = Missing(self._function, kind, reference["name"])
            if not reference.get("optional") and absent not in self._missing:
                self._missing.append(absent)
            return {}
        return contents(kind, found)


def contents(kind: str, found: Object) -> dict[str, str]:
    """What a ConfigMap or a Secret holds, as text."""
    if kind == "ConfigMap":
        return dict(found.get("data") or {})
    texts = {}
    for key, value in (found.get("data") or {}).items():
        try:
            texts[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            texts[key] = ""
    return texts
