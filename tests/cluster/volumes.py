"""Volumes of pods as folders of this machine: Secrets and ConfigMaps as files, the rest as empty folders."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.api import Api

Object = dict[str, Any]


class NotReady(Exception):
    """A container that cannot start yet, with the reason that a kubelet gives."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def materialise(api: Api, namespace: str, spec: Object, folder: Path) -> dict[str, Path]:
    """The folder of every volume by its name; NotReady while a Secret or ConfigMap is missing."""
    found: dict[str, Path] = {}
    contents = {volume["name"]: _content(api, namespace, volume) for volume in spec.get("volumes") or []}
    for name, content in contents.items():
        found[name] = folder / name
        found[name].mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, data in content.items():
            _write(found[name] / path, data)
    return found


def mounted(container: Object, volumes: Mapping[str, Path]) -> dict[str, Path]:
    """The folder behind every mount path of the container."""
    mounts = container.get("volumeMounts") or []
    return {
        mount["mountPath"].rstrip("/"): volumes[mount["name"]] / mount.get("subPath", "")
        for mount in sorted(mounts, key=lambda mount: -len(mount["mountPath"]))
    }


def moved(text: str, mounts: Mapping[str, Path]) -> str:
    """The text, with the folder of this machine in place of the mount path that it begins with.

    What is there on this machine is what it says: its Python may well be below `/tmp`.
    """
    for path, folder in mounts.items():
        if text == path or (text.startswith(f"{path}/") and not Path(text).exists()):
            return f"{folder}{text[len(path) :]}"
    return text


def _content(api: Api, namespace: str, volume: Object) -> dict[str, bytes]:
    if "secret" in volume:
        source = volume["secret"]
        stored = _fetch(api, f"/api/v1/namespaces/{namespace}/secrets/{source['secretName']}", volume, source)
        data = {name: base64.b64decode(value) for name, value in (stored.get("data") or {}).items()}
        return _chosen(data, source)
    if "configMap" in volume:
        source = volume["configMap"]
        stored = _fetch(api, f"/api/v1/namespaces/{namespace}/configmaps/{source['name']}", volume, source)
        return _chosen({name: value.encode() for name, value in (stored.get("data") or {}).items()}, source)
    return {}


def _fetch(api: Api, path: str, volume: Object, source: Object) -> Object:
    stored = api.get(path)
    if stored is None and not source.get("optional"):
        kind, name = path.split("/")[-2:]
        told = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {kind.removesuffix("s")} "{name}" not found'
        raise NotReady("ContainerCreating", told)
    return stored or {}


def _chosen(data: dict[str, bytes], source: Object) -> dict[str, bytes]:
    if not source.get("items"):
        return data
    missing = [item["key"] for item in source["items"] if item["key"] not in data]
    if missing and not source.get("optional"):
        raise NotReady("ContainerCreating", f"references non-existent secret key: {missing[0]}")
    return {item["path"]: data[item["key"]] for item in source["items"] if item["key"] in data}


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(data)
