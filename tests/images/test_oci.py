"""An image that is made of folders keeps the layout that the specification asks for."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.images.oci import ImageConfig, write_image

NAME = "img.invalid/facteur-callback:1"
CONFIG = ImageConfig(
    entrypoint=["python", "-m"],
    command=["shared.web.serve", "callback"],
    environment={"PORT": "8080", "HOME": "/tmp"},
    user="65532:65532",
    working_directory="/app",
)


@pytest.fixture
def layers(tmp_path: Path) -> list[Path]:
    base, application = tmp_path / "base", tmp_path / "application"
    (base / "usr" / "bin").mkdir(parents=True)
    (base / "usr" / "bin" / "python").write_text("#!/bin/sh\n")
    (base / "usr" / "bin" / "python").chmod(0o755)
    (base / "bin").symlink_to("usr/bin")
    os.link(base / "usr" / "bin" / "python", base / "usr" / "bin" / "python3")
    (application / "app").mkdir(parents=True)
    (application / "app" / "main.py").write_text("pass\n")
    return [base, application]


def _made(target: Path, layers: list[Path]) -> dict[str, bytes]:
    write_image(target, NAME, layers, CONFIG)
    with tarfile.open(target) as archive:
        files = {entry.name: archive.extractfile(entry) for entry in archive if entry.isfile()}
        return {name: file.read() for name, file in files.items() if file}


def _blob(files: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    return files["blobs/sha256/" + str(descriptor["digest"]).removeprefix("sha256:")]


def _members(files: dict[str, bytes], layer: dict[str, Any]) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(_blob(files, layer))) as archive:
        return {entry.name: entry for entry in archive}


def test_every_blob_is_named_by_its_own_digest(tmp_path: Path, layers: list[Path]) -> None:
    files = _made(tmp_path / "image.tar", layers)
    blobs = {name: content for name, content in files.items() if name.startswith("blobs/")}
    assert len(blobs) == 4
    assert blobs.keys() == {f"blobs/sha256/{hashlib.sha256(content).hexdigest()}" for content in blobs.values()}
    assert files.keys() - blobs.keys() == {"oci-layout", "index.json"}
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}


def test_each_descriptor_leads_to_a_blob_of_its_size(tmp_path: Path, layers: list[Path]) -> None:
    files = _made(tmp_path / "image.tar", layers)
    (described,) = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(_blob(files, described))
    for descriptor in (described, manifest["config"], *manifest["layers"]):
        assert len(_blob(files, descriptor)) == descriptor["size"]
    assert described["annotations"]["io.containerd.image.name"] == NAME


def test_the_config_says_how_to_start_and_lists_the_layers_in_order(tmp_path: Path, layers: list[Path]) -> None:
    files = _made(tmp_path / "image.tar", layers)
    manifest = json.loads(_blob(files, json.loads(files["index.json"])["manifests"][0]))
    image = json.loads(_blob(files, manifest["config"]))
    assert image["config"] == {
        "Entrypoint": ["python", "-m"],
        "Cmd": ["shared.web.serve", "callback"],
        "Env": ["HOME=/tmp", "PORT=8080"],
        "User": "65532:65532",
        "WorkingDir": "/app",
    }
    assert image["os"] == "linux"
    assert image["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    tops = [next(iter(_members(files, layer))) for layer in manifest["layers"]]
    assert tops == ["bin", "app"]


def test_a_layer_keeps_modes_and_both_kinds_of_links(tmp_path: Path, layers: list[Path]) -> None:
    files = _made(tmp_path / "image.tar", layers)
    manifest = json.loads(_blob(files, json.loads(files["index.json"])["manifests"][0]))
    base = _members(files, manifest["layers"][0])
    assert (base["bin"].issym(), base["bin"].linkname) == (True, "usr/bin")
    assert base["usr/bin/python"].mode == 0o755
    assert (base["usr/bin/python3"].islnk(), base["usr/bin/python3"].linkname) == (True, "usr/bin/python")


def test_equal_folders_make_equal_layers_and_nothing_is_left_beside_the_image(
    tmp_path: Path, layers: list[Path]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    first, second = _made(out / "1.tar", layers), _made(out / "2.tar", layers)
    assert first == second
    assert {path.name for path in out.iterdir()} == {"1.tar", "2.tar"}
    (layers[1] / "app" / "main.py").write_text("fail\n")
    assert _made(out / "2.tar", layers) != first
