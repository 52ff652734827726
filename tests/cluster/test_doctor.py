"""A doctor before a real API server with the project's own overlays: nothing is wrong; and what is broken is found."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from shared.doctor.checks import Report
from shared.doctor.examination import look
from shared.doctor.looks import Asked
from tests.cluster.api import Api
from tests.cluster.deployed import OVERLAYS, Applier, rendered
from tests.cluster.kubeconfig import kubeconfig
from tests.cluster.rights import await_rights

pytestmark = pytest.mark.parametrize("server", ["real"], indirect=True)
_CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding")
# What is not needed to be looked at, and may want webhooks or a namespace that is not there.
_LEFT_OUT = ("cnpg.io", "redis.opstreelabs.in", "gateway.networking.k8s.io", "storage.k8s.io", "/v1beta1")
_SECRET = "0123456789abcdef" * 4
_VALUES = {"url": "redis://:password@facteur-redis:6379/0", "FACTEUR_TOKEN_SECRET": _SECRET, "FACTEUR_API_TOKENS": "[]"}
_MARK = "facteur-tests/installed"
FACTEUR = str(Path(sys.executable).with_name("facteur"))


@dataclass(frozen=True)
class Installed:
    """An overlay in namespaces of its own."""

    api: Api
    applier: Applier
    namespace: str
    names: Mapping[str, str]
    kubeconfig: Path

    def look(self, kubeconfig: Path | None = None) -> Report:
        return look(Asked(kubeconfig=kubeconfig or self.kubeconfig, namespace=self.namespace))

    def found(self) -> set[str]:
        return {finding.check for finding in self.look().findings}

    def path(self, version: str, plural: str, name: str, role: str = "facteur") -> str:
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        return f"{root}/namespaces/{self.names[role]}/{plural}/{name}"


@pytest.fixture(params=OVERLAYS, ids=lambda path: path.name)
def overlay(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


@pytest.fixture
def installed(api: Api, overlay: Path, tmp_path: Path) -> Iterator[Installed]:
    mark = uuid4().hex[:8]
    names = {name: f"{name}-{mark}" for name in ("facteur", "codex", "argo-workflows")}
    applier, wide = Applier(api), []
    try:
        for manifest in rendered(overlay):
            if any(group in manifest["apiVersion"] for group in _LEFT_OUT) or not _ours(manifest):
                continue
            placed = _placed(deepcopy(manifest), names, mark)
            applier.apply(placed)
            if placed["kind"] in _CLUSTER_WIDE:
                wide.append(applier.path(placed))
        for secret in _secrets(overlay, names):
            applier.apply(secret)
        await_rights(api)
        yield Installed(api, applier, names["facteur"], names, _kubeconfig(api, api.credentials, tmp_path / "config"))
    finally:
        for path in [*wide, *(f"/api/v1/namespaces/{name}" for name in names.values())]:
            api.delete(path)


def _ours(manifest: dict[str, Any]) -> bool:
    known = ("facteur", "codex", "argo-workflows")
    return manifest["metadata"].get("namespace", "facteur") in known


def _placed(manifest: Any, names: Mapping[str, str], mark: str) -> Any:
    """The manifest in the namespaces of the test; what belongs to no namespace has a name of its own."""
    if manifest["kind"] == "Namespace":
        manifest["metadata"]["name"] = names[manifest["metadata"]["name"]]
        manifest["metadata"].setdefault("labels", {})[_MARK] = mark
    if manifest["kind"] == "ApiServerSource":
        # Other tests have namespaces where tasks run, too.
        manifest["spec"]["namespaceSelector"]["matchLabels"][_MARK] = mark
    if manifest["kind"] in _CLUSTER_WIDE:
        manifest["metadata"]["name"] += f"-{mark}"
        if manifest["kind"] == "ClusterRoleBinding" and manifest["roleRef"]["name"].startswith("facteur-"):
            manifest["roleRef"]["name"] += f"-{mark}"
    if manifest["kind"] == "ConfigMap":
        data = manifest.get("data", {})
        for key, value in data.items():
            placed = value.replace(".facteur.svc", f".{names['facteur']}.svc")
            data[key] = names.get(placed, placed) if key.endswith("_NAMESPACE") else placed
    return _in_namespaces(manifest, names)


def _in_namespaces(manifest: Any, names: Mapping[str, str]) -> Any:
    if isinstance(manifest, dict):
        return {
            key: names.get(value, value)
            if key == "namespace" and isinstance(value, str)
            else _in_namespaces(value, names)
            for key, value in manifest.items()
        }
    return [_in_namespaces(each, names) for each in manifest] if isinstance(manifest, list) else manifest


def _secrets(overlay: Path, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Every Secret that the functions name, with all that they want of it."""
    wanted: dict[str, dict[str, str]] = {}
    for manifest in rendered(overlay):
        if manifest["apiVersion"] != "serving.knative.dev/v1":
            continue
        function = manifest["metadata"]["name"].replace("-", "_")
        for variable in manifest["spec"]["template"]["spec"]["containers"][0].get("env", ()):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference and not reference.get("optional"):
                value = _VALUES.get(reference["key"], "a-value")
                value = f"postgresql://facteur_{function}@database/facteur" if reference["key"] == "dsn" else value
                wanted.setdefault(reference["name"], {})[reference["key"]] = base64.b64encode(value.encode()).decode()
    for name, data in wanted.items():
        metadata = {"name": name, "namespace": names["facteur"]}
        yield {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def _kubeconfig(api: Api, credentials: Path, file: Path) -> Path:
    token = (credentials / "token").read_text(encoding="ascii").strip()
    return kubeconfig(file, api.url, token, api.credentials / "ca.crt")


def test_an_overlay_as_it_is_has_nothing_wrong(installed: Installed) -> None:
    report = installed.look()
    assert [f"{finding.check}: {finding.what}" for finding in report.findings] == []
    # No node is there, and no database was named; everything else was looked at.
    assert [missed.why for missed in report.not_looked if missed.wanted] == []
    assert report.looked > 45


only_cluster = pytest.mark.parametrize(
    "overlay", [path for path in OVERLAYS if path.name == "cluster"], ids=lambda path: path.name
)


@only_cluster
def test_what_is_broken_in_a_cluster_is_found_and_nothing_else(installed: Installed) -> None:
    api, serving, eventing = installed.api, "serving.knative.dev/v1", "eventing.knative.dev/v1"
    steps: list[tuple[str, str, Any]] = [
        (
            "runs-label-missing",
            f"/api/v1/namespaces/{installed.names['codex']}",
            {"metadata": {"labels": {"codex.proompteng.ai/runs": None}}},
        ),
        (
            "function-public",
            installed.path(serving, "services", "embedder"),
            {"metadata": {"labels": {"networking.knative.dev/visibility": None}}},
        ),
        (
            "runner-token-mounted",
            installed.path("v1", "serviceaccounts", "codex-runner", "codex"),
            {"automountServiceAccountToken": True},
        ),
        (
            "trigger-without-retry",
            installed.path(eventing, "triggers", "dispatcher.tick"),
            {"spec": {"delivery": {"retry": 0}}},
        ),
        ("secret-missing", installed.path("v1", "secrets", "facteur-redis"), {"data": {"url": None}}),
    ]
    # A broker of Kafka tries as often as it says itself where a trigger says nothing.
    api.merge(installed.path(eventing, "brokers", "facteur"), {"spec": {"delivery": {"retry": None}}})
    broken: set[str] = set()
    for check, path, patch in steps:
        api.merge(path, patch)
        broken.add(check)
        # Without its address a function that wants a Redis does not start.
        assert installed.found() == broken | ({"settings-wrong"} if check == "secret-missing" else set())


@only_cluster
def test_a_right_that_the_server_denies_is_found(installed: Installed) -> None:
    roles = "rbac.authorization.k8s.io/v1"
    installed.api.delete(installed.path(roles, "rolebindings", "facteur-dispatcher", "codex"))
    await_rights(installed.api)
    (finding,) = installed.look().findings
    assert finding.check == "right-missing"
    assert "may not create jobs in namespace codex-" in finding.what


@only_cluster
def test_a_role_that_may_everything_is_found(installed: Installed) -> None:
    subject = {"kind": "ServiceAccount", "name": "embedder", "namespace": installed.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{installed.namespace}/rolebindings"
    installed.api.create(path, {"metadata": {"name": "too-wide"}, "roleRef": role, "subjects": [subject]})
    assert installed.found() == {"role-wide"}


@only_cluster
def test_who_may_not_look_is_told_so_and_nothing_is_made_up(installed: Installed, tmp_path: Path) -> None:
    account = f"/api/v1/namespaces/{installed.namespace}/serviceaccounts/callback/token"
    made = installed.api.create(account, {"spec": {"expirationSeconds": 600}})
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "token").write_text(made["status"]["token"], encoding="ascii")
    report = installed.look(_kubeconfig(installed.api, tmp_path / "own", tmp_path / "narrow"))
    assert report.findings == ()
    assert report.exit_code == 2
    assert any("may not look at it" in missed.why for missed in report.not_looked)


@only_cluster
def test_the_command_says_the_same_as_json_and_changes_nothing(installed: Installed) -> None:
    installed.api.delete(installed.path("sources.knative.dev/v1", "pingsources", "tick"))
    before = _versions(installed)
    done = subprocess.run(
        [FACTEUR, "doctor", "--kubeconfig", installed.kubeconfig, "--namespace", installed.namespace, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert [finding["check"] for finding in json.loads(done.stdout)["findings"]] == ["tick-missing"]
    assert _SECRET not in done.stdout
    assert _versions(installed) == before


def _versions(installed: Installed) -> list[str]:
    paths = ["/api/v1/{}/secrets", "/api/v1/{}/configmaps", "/apis/serving.knative.dev/v1/{}/services"]
    found = [installed.api.list(path.format(f"namespaces/{installed.namespace}")) for path in paths]
    return [each["metadata"]["resourceVersion"] for listed in found for each in listed]
