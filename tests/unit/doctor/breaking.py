"""Ways to break a healthy install: its servers, settings and objects of any kind."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shared.domain.condition import Index, Role
from tests.unit.doctor.installed import Install

Break = Callable[[Install], object]


def part(name: str, **changes: Any) -> Break:
    """One part of the install with other facts."""
    return lambda install: install.others.update({name: replace(install.others[name], **changes)})


def database(**settings: str) -> Break:
    """The database server with other settings."""

    def change(install: Install) -> None:
        known = install.others["database"]
        install.others["database"] = replace(known, settings={**known.settings, **settings})

    return change


def redis(**info: str) -> Break:
    """A Redis that says something else of itself."""

    def change(install: Install) -> None:
        known = install.others["redis"]
        install.others["redis"] = replace(known, info={**known.info, **info})

    return change


def model(**changes: Any) -> Break:
    """The model in use with other facts."""

    def change(install: Install) -> None:
        (known,) = install.others["work"].models
        install.others["work"] = replace(install.others["work"], models=(replace(known, **changes),))

    return change


def filling(install: Install) -> None:
    (known,) = install.others["work"].models
    other = replace(known, model="another:8", state="filling", age=7200.0, index="none")
    install.others["work"] = replace(install.others["work"], models=(known, other))


def invalid_index(install: Install) -> None:
    known = install.others["schema"]
    broken = Index(name="idx_outbox_created", valid=False, building=False)
    install.others["schema"] = replace(known, indexes={**known.indexes, broken.name: broken})


def without(*names: str) -> Break:
    """A schema without these indexes."""

    def change(install: Install) -> None:
        known = install.others["schema"]
        left = {name: index for name, index in known.indexes.items() if name not in names}
        install.others["schema"] = replace(known, indexes=left)

    return change


def role(**facts: frozenset[str]) -> Break:
    return part("schema", roles=(Role(name="facteur_callback", **facts),))


def setting(variable: str, value: str, function: str = "") -> Break:
    """A setting of all functions, or of one."""

    def change(install: Install) -> None:
        if not function:
            install.one("ConfigMap", "facteur-settings")["data"][variable] = value
            return
        variables = container(install, function)["env"]
        variables[:] = [each for each in variables if each["name"] != variable]
        variables.append({"name": variable, "value": value})

    return change


def both(*breaks: Break) -> Break:
    def change(install: Install) -> None:
        for each in breaks:
            each(install)

    return change


def template(install: Install, function: str) -> Any:
    return install.one("Service", function)["spec"]["template"]


def container(install: Install, function: str) -> Any:
    return template(install, function)["spec"]["containers"][0]


def status(kind: str, name: str) -> Break:
    """An object that says that it is not ready."""
    broken = {"type": "Ready", "status": "False", "reason": "Broken", "message": "it broke"}
    return lambda install: install.one(kind, name).update(status={"conditions": [broken]})


def drop(kind: str, name: str) -> Break:
    return lambda install: install.drop(kind, name)


def dropped_all(kind: str) -> Break:
    return lambda install: install.objects[kind].clear()


def annotated(function: str, name: str, value: str | None) -> Break:
    def change(install: Install) -> None:
        annotations = template(install, function)["metadata"]["annotations"]
        annotations[f"autoscaling.knative.dev/{name}"] = value
        if value is None:
            del annotations[f"autoscaling.knative.dev/{name}"]

    return change


def labelled(kind: str, name: str, label: str, value: str | None) -> Break:
    def change(install: Install) -> None:
        labels = install.one(kind, name)["metadata"].setdefault("labels", {})
        labels[label] = value
        if value is None:
            del labels[label]

    return change


def previous_since(time: str) -> Break:
    """The previous secret, as somebody wrote it into the Secret at that time."""

    def change(install: Install) -> None:
        secret = install.one("Secret", "facteur-secrets")
        secret["data"]["FACTEUR_TOKEN_SECRET_PREVIOUS"] = base64.b64encode(b"fedcba9876543210" * 4).decode()
        fields: dict[str, Any] = {"f:data": {"f:FACTEUR_TOKEN_SECRET_PREVIOUS": {}}}
        secret["metadata"]["managedFields"] = [{"manager": "kubectl", "time": time, "fieldsV1": fields}]

    return change


def no_sink(install: Install) -> None:
    install.one("ConfigMap", "facteur-settings")["data"].pop("K_SINK", None)


def shared_role(install: Install) -> None:
    install.one("Secret", "facteur-postgres-embedder")["data"] = install.one("Secret", "facteur-postgres-callback")[
        "data"
    ]


def role_said_elsewhere(install: Install) -> None:
    """One role for two functions, each of which says it in another way."""
    for function, dsn in (
        ("callback", "postgresql://facteur_callback:a@host/facteur?user=facteur"),
        ("embedder", "host=host dbname=facteur user=facteur"),
    ):
        secret = install.one("Secret", f"facteur-postgres-{function}")
        secret["data"] = {"dsn": base64.b64encode(dsn.encode()).decode()}


def image(value: str) -> Break:
    return lambda install: container(install, "callback").update(image=value)


def secret_without(name: str, key: str) -> Break:
    return lambda install: install.one("Secret", name)["data"].pop(key)
