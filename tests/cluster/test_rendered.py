"""What overlays become with what may be added to them, and what a release publishes of them: no server is asked."""

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.deployed import OVERLAYS, ROOT, named, rendered
from tests.cluster.network import End, Network
from tests.cluster.rights import REVIEWING
from tests.cluster.test_flows import API_SERVER, BUCKET, CLUSTER, GATEWAY, INTERNET, PRIVATE, STORES, STRANGER

_HASH = re.compile(r".+-[a-z0-9]{10}")
_FIXED = {"facteur-settings", "facteur-policy"}


def with_components(overlay: Path, folder: Path, *components: str) -> dict[str, dict[str, Any]]:
    """The overlay with components of this repository, by what each object is called."""
    # kustomize takes no absolute paths.
    root = Path(*[".."] * len(folder.parts[1:]), *ROOT.parts[1:])
    shutil.copytree(overlay, folder, dirs_exist_ok=True)
    path = folder / "kustomization.yaml"
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key in ("resources", "components"):
        said[key] = [str(root / (overlay / taken).resolve().relative_to(ROOT)) for taken in said[key]]
    said["components"] += [str(root / component) for component in components]
    path.write_text(yaml.safe_dump(said), encoding="utf-8")
    return {named(manifest): manifest for manifest in rendered(folder)}


def test_what_a_deployment_reads_at_its_start_has_a_name_of_its_content() -> None:
    read = {
        found["name"]
        for deployment in rendered(CLUSTER)
        if deployment["kind"] == "Deployment" and deployment["metadata"]["name"] in ("alloy", "tasks-gateway")
        for found in _config_maps(deployment["spec"]["template"]["spec"])
    }
    assert len(read) == 3
    assert [name for name in read if not _HASH.fullmatch(name)] == []
    made = {manifest["metadata"]["name"] for manifest in rendered(CLUSTER) if manifest["kind"] == "ConfigMap"}
    assert read | _FIXED <= made


def _config_maps(found: Any) -> list[dict[str, Any]]:
    """Every mention of a ConfigMap in a pod."""
    if isinstance(found, list):
        return [each for inner in found for each in _config_maps(inner)]
    if not isinstance(found, dict):
        return []
    mentions = [value for key, value in found.items() if key in ("configMap", "configMapRef")]
    return mentions + [each for inner in found.values() for each in _config_maps(inner)]


def test_pods_of_rabbitmq_start_and_deliver_through_the_closed_gateway(tmp_path: Path) -> None:
    added = ("eventing/components/rabbitmq", "knative/components/rabbitmq-network", "knative/components/closed-gateway")
    made = with_components(CLUSTER, tmp_path, *added)
    labels = made["Namespace/facteur"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "baseline"
    assert labels["bindings.knative.dev/include"] == "true"
    network = Network([*made.values()])
    delivers = End("facteur", {"eventing.knative.dev/brokerRole": "dispatcher"})
    assert network.allows(delivers, GATEWAY, 8081)
    assert network.allows(network.pod("tasks-gateway"), GATEWAY, 8081)
    assert not network.allows(STRANGER, GATEWAY, 8081)
    assert network.allows(STRANGER, GATEWAY, 8080), "what comes from outside"


def test_a_store_with_a_public_name_is_reached_if_it_is_said_and_no_private_address(tmp_path: Path) -> None:
    without = Network(rendered(CLUSTER))
    network = Network([*with_components(CLUSTER, tmp_path, "knative/components/public-store").values()])
    for who in (network.pod("callback"), BUCKET):
        assert not without.allows(who, INTERNET, 443)
        assert network.allows(who, INTERNET, 443)
        assert network.allows(who, STORES["cluster"], 9000)
        assert not network.allows(who, PRIVATE, 443)
    assert not network.allows(network.pod("facteur-migrate-v1"), INTERNET, 443)


def test_who_reviews_tokens_reaches_the_api_server_and_has_a_token_for_it(tmp_path: Path) -> None:
    without = Network(rendered(CLUSTER))
    made = with_components(CLUSTER, tmp_path, "knative/components/token-review")
    network = Network([*made.values()])
    for who in REVIEWING:
        assert not without.allows(without.pod(who), API_SERVER, 6443)
        assert network.allows(network.pod(who), API_SERVER, 6443)
        assert made[f"facteur/ServiceAccount/{who}"]["automountServiceAccountToken"]
        assert made[f"facteur/Service/{who}"]["spec"]["template"]["spec"]["automountServiceAccountToken"]
    assert not network.allows(network.pod("embedder"), API_SERVER, 6443)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_a_release_publishes_the_overlays_with_its_own_images(overlay: Path, tmp_path: Path) -> None:
    _unpack(_published(tmp_path / "tree"), tmp_path / "had")
    mine = tmp_path / "had" / overlay.relative_to(ROOT)
    before, after = ({named(manifest): manifest for manifest in rendered(folder)} for folder in (overlay, mine))
    jobs = {name for name in before if "/Job/" in name}
    assert before.keys() - jobs == {name for name in after if "/Job/" not in name}
    assert "facteur/Job/facteur-migrate-v1.2.3" in after
    settings = after["facteur/ConfigMap/facteur-settings"]["data"]
    assert settings["FACTEUR_RUNNER_IMAGE"] == "ghcr.io/some/where/facteur-runner:v1.2.3"
    images = set(re.findall(r"(\S+/facteur-[a-z-]+):v1", yaml.safe_dump([*after.values()])))
    assert {image.rpartition("/")[0] for image in images} == {"ghcr.io/some/where"}
    assert len(images) == 8


def _unpack(archive: Path, folder: Path) -> None:
    """Files only, one by one: `extractall` has a filter since 3.11.4, and warns without one since 3.12."""
    with tarfile.open(archive) as packed:
        for member in packed:
            if file := packed.extractfile(member):
                place = folder / member.name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(file.read())


def _published(tree: Path) -> Path:
    """What the workflow makes of a tree, by its own lines."""
    for name in ("knative", "eventing", "functions"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    (lines,) = (step["run"] for step in workflow["jobs"]["release"]["steps"] if "tar --create" in step.get("run", ""))
    kubectl = Path(os.environ.get("FACTEUR_TEST_KUBECTL") or shutil.which("kubectl") or "")
    environment = {
        "PATH": f"{kubectl.parent}:{os.environ['PATH']}",
        "GITHUB_REPOSITORY": "Some/Where",
        "IMAGE_TAG": "v1.2.3",
    }
    for command in (["git", "init", "--quiet"], ["git", "add", "."], ["bash", "-eo", "pipefail", "-c", lines]):
        subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=True)
    (made,) = tree.glob("*.tar.gz")
    return made
