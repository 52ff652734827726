"""Makes an image out of folders: an OCI image layout in one tar, as `ctr images import` takes it.

No container engine is asked. Equal folders make equal bytes, so whoever has an image already has the next one of the
same folders; times of files are kept to the second, as bytecode may be compared with them.
"""

import hashlib
import json
import platform
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_CONFIG = "application/vnd.oci.image.config.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """How a container of the image starts; the fields of the OCI config that we use."""

    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    working_directory: str = "/"
    labels: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The `config` object of an OCI image configuration, without what is empty."""
        document = {
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.command),
            "Env": [f"{name}={value}" for name, value in sorted(self.environment.items())],
            "User": self.user,
            "WorkingDir": self.working_directory,
            "Labels": dict(sorted(self.labels.items())),
        }
        return {key: value for key, value in document.items() if value}


def write_image(target: Path, name: str, layers: Sequence[Path], config: ImageConfig) -> None:
    """Write to `target` the image `name` (with host and tag: `img.invalid/facteur-callback:1`) for this machine.

    Each layer is a folder as it lies over `/`, the lowest first; owners and modes are those of its files. A layer must
    not have a folder where a lower one has a symbolic link, like Debian's `/lib`: it would take its place.
    """
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".image-") as folder:
        blobs = Path(folder) / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        packed = [_packed(blobs, layer) for layer in layers]
        image = _document(blobs, _CONFIG, _configuration(config, [layer["digest"] for layer in packed]))
        manifest = _document(
            blobs, _MANIFEST, {"schemaVersion": 2, "mediaType": _MANIFEST, "config": image, "layers": packed}
        )
        _write(Path(folder) / "oci-layout", {"imageLayoutVersion": "1.0.0"})
        _write(Path(folder) / "index.json", _index(name, manifest))
        finished = Path(folder) / "image.tar"
        _pack(Path(folder), finished, ("oci-layout", "index.json", "blobs"))
        finished.replace(target)


def _configuration(config: ImageConfig, diff_ids: Sequence[str]) -> dict[str, Any]:
    """A layer that is not compressed has one digest, as a blob and as a folder."""
    return {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": config.document(),
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
    }


def _index(name: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """The second annotation is what containerd names the image by; others read the first."""
    names = {"org.opencontainers.image.ref.name": name.rpartition(":")[2], "io.containerd.image.name": name}
    return {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [{**manifest, "annotations": names}]}


def _packed(blobs: Path, layer: Path) -> dict[str, Any]:
    """The descriptor of a folder, once it is a blob."""
    raw = blobs / "layer"
    _pack(layer, raw, sorted(path.name for path in layer.iterdir()))
    return _stored(blobs, raw, _LAYER)


def _document(blobs: Path, media_type: str, document: dict[str, Any]) -> dict[str, Any]:
    raw = blobs / "document"
    _write(raw, document)
    return _stored(blobs, raw, media_type)


def _stored(blobs: Path, raw: Path, media_type: str) -> dict[str, Any]:
    """Give a blob the name of its content, and describe it."""
    digest, size = hashlib.sha256(), 0
    with raw.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    raw.replace(blobs / digest.hexdigest())
    return {"mediaType": media_type, "digest": f"sha256:{digest.hexdigest()}", "size": size}


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, sort_keys=True))


def _pack(folder: Path, target: Path, names: Sequence[str]) -> None:
    with tarfile.open(target, "w") as archive:
        for name in names:
            archive.add(folder / name, arcname=name, filter=_entry)


def _entry(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Owners count by number, as names are those of this machine; a part of a second would need a header of its own."""
    entry.uname = entry.gname = ""
    entry.mtime = int(entry.mtime)
    return entry
