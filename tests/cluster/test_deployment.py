"""Every overlay, and what it may take besides, is what a real API server takes, without a warning.

It is one module: what is deployed has its own names in the cluster, for one test at a time.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from shared.web.serve import FUNCTIONS
from tests.architecture.kustomizations import make_secrets
from tests.cluster.api import Api
from tests.cluster.deployed import COMPONENTS, OVERLAYS, ROOT, Applier, content, dry_run, named, rendered
from tests.cluster.rights import (
    ALLOWED,
    CALLS,
    DENIED,
    REVIEWING,
    WATCHED,
    Call,
    account,
    allowed,
    await_rights,
)

pytestmark = pytest.mark.parametrize("server", ["real"], indirect=True)
KNATIVE = ROOT / "knative"
PLATFORM = sorted(
    [*(path.parent for path in KNATIVE.glob("components/*/kustomization.yaml")), KNATIVE / "platform/telemetry"]
)
_SECRETS = "/api/v1/namespaces/facteur/secrets"
TOKEN_REVIEW = KNATIVE / "components" / "token-review"
# Namespaces of Knative's own installation, into which something of ours is put.
PREREQUISITES = ("kourier-system",)
_KUSTOMIZATION = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [{knative}/base, {knative}/platform]
components: [{component}]
transformers:
  - |-
    apiVersion: builtin
    kind: NamespaceTransformer
    metadata: {{name: namespace, namespace: facteur}}
    setRoleBindingSubjects: none
    unsetOnly: true
"""


@pytest.fixture
def applier(api: Api) -> Applier:
    own = Applier(api)
    for name in PREREQUISITES:
        own.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return own


@pytest.fixture
def deployed(api: Api, applier: Applier) -> Iterator[None]:
    """What is to be deployed in production is there, but for what would run: nothing here runs it."""
    for manifest in rendered(next(overlay for overlay in OVERLAYS if overlay.name == "cluster")):
        applier.apply(manifest)
    await_rights(api)
    yield


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_an_overlay_is_taken_without_a_warning_and_a_second_time_changes_nothing(
    applier: Applier, overlay: Path
) -> None:
    manifests = rendered(overlay)
    first = {named(manifest): applier.apply(manifest) for manifest in manifests}
    second = {named(manifest): applier.apply(manifest) for manifest in manifests}
    assert len(first) == len(manifests) > 40
    assert {name: warned for name, (_, warned) in [*first.items(), *second.items()] if warned} == {}
    assert {name: content(made) for name, (made, _) in second.items()} == {
        name: content(made) for name, (made, _) in first.items()
    }


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_a_release_with_dots_in_its_tag_is_taken_without_a_warning(applier: Applier, overlay: Path) -> None:
    found = [document for document in yaml.safe_load_all(dry_run(overlay, "r.test/x", "v1.2.3")) if document]
    manifests = sorted(found, key=lambda document: document["kind"] != "Namespace")
    warned = {named(manifest): applier.apply(manifest)[1] for manifest in manifests}
    assert "facteur/Job/facteur-migrate-v1-2-3" in warned
    assert {name: said for name, said in warned.items() if said} == {}


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda path: path.name)
def test_a_component_is_taken_with_the_rest(applier: Applier, component: Path, tmp_path: Path) -> None:
    # kustomize takes no absolute paths.
    relative = Path(*[".."] * len(tmp_path.parts[1:]), *component.parts[1:])
    eventing = Path(*[".."] * len(tmp_path.parts[1:]), *component.parents[1].parts[1:])
    (tmp_path / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: facteur\n"
        f"resources: [{eventing}]\ncomponents: [{relative}]\n"
    )
    applier.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "facteur"}})
    made = [applier.apply(manifest) for manifest in rendered(tmp_path)]
    assert [warnings for _, warnings in made if warnings] == []


def test_a_function_may_do_what_its_code_does(api: Api, deployed: None) -> None:
    assert ALLOWED.keys() == set(FUNCTIONS)
    missing = [(name, call) for name in FUNCTIONS for call in ALLOWED[name] if not allowed(api, name, call)]
    assert missing == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_do_nothing_else(api: Api, deployed: None, function: str) -> None:
    asked = [call for call in DENIED if call not in ALLOWED[function]]
    assert len(asked) >= 50
    assert [call for call in asked if allowed(api, function, call)] == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_real_calls_with_a_functions_own_token_are_answered_likewise(
    api: Api, deployed: None, function: str, tmp_path: Path
) -> None:
    own = account(api, function, tmp_path)
    answers = {call: _status(own, call) for call in CALLS}
    assert {call for call, status in answers.items() if status != 403} == {
        call for call in CALLS if call in ALLOWED[function]
    }


def _status(own: Api, call: Call) -> int:
    status, _ = own.request(*call.request())
    return status


def test_a_task_may_do_nothing_at_all(api: Api, deployed: None) -> None:
    calls: list[Any] = [call for call in DENIED if allowed(api, "codex-runner", call, "codex")]
    assert calls == []


def test_the_source_of_jobs_reads_them_where_tasks_run_and_may_do_nothing_else(api: Api, deployed: None) -> None:
    assert [call for call in sorted(WATCHED) if not allowed(api, "jobs-source", call)] == []
    assert [call for call in DENIED if call not in WATCHED and allowed(api, "jobs-source", call)] == []


def test_who_reviews_tokens_may_do_that_by_a_component_and_nothing_else(
    api: Api, applier: Applier, deployed: None
) -> None:
    added = [manifest for manifest in rendered(TOKEN_REVIEW) if manifest["kind"] != "NetworkPolicy"]
    try:
        for manifest in added:
            applier.apply(manifest)
        await_rights(api)
        for function, more in REVIEWING.items():
            assert {call for call in DENIED if allowed(api, function, call)} == ALLOWED[function] | more
    finally:
        for manifest in added:
            api.delete(applier.path(manifest))
        await_rights(api)


@pytest.fixture
def platform(applier: Applier) -> Applier:
    """All namespaces are there into which something is put."""
    for name in ("facteur", "argo-workflows"):
        applier.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return applier


@pytest.mark.parametrize("component", PLATFORM, ids=lambda path: path.name)
def test_a_component_of_the_platform_is_taken_without_a_warning(
    api: Api, platform: Applier, component: Path, tmp_path: Path
) -> None:
    made = _rendered(tmp_path, component)
    try:
        assert {name: warned for name, manifest in made.items() if (warned := platform.apply(manifest)[1])} == {}
    finally:
        # What may be done in the whole cluster is nobody's when another test asks.
        for manifest in made.values():
            if manifest["kind"] == "ClusterRoleBinding":
                api.delete(platform.path(manifest))
        await_rights(api)


def _rendered(folder: Path, component: Path) -> dict[str, dict[str, Any]]:
    # kustomize takes no absolute paths.
    said = _KUSTOMIZATION.format(knative=os.path.relpath(KNATIVE, folder), component=os.path.relpath(component, folder))
    (folder / "kustomization.yaml").write_text(said, encoding="utf-8")
    return {named(manifest): manifest for manifest in rendered(folder)}


def test_the_secrets_that_are_missing_are_made_and_those_that_are_there_stay(
    api: Api, platform: Applier, tmp_path: Path
) -> None:
    for manifest in rendered(KNATIVE / "overlays" / "local"):
        if manifest["metadata"]["name"] == "make-secrets":
            platform.apply(manifest)
    await_rights(api)
    own = account(api, "make-secrets", tmp_path)
    secrets = make_secrets()
    name = f"facteur-tried-{os.getpid()}"
    first, second = (secrets.manifest(name, {"password": password}) for password in ("one", "two"))
    try:
        assert [secrets.create(each, urlsplit(api.url).netloc, tmp_path) for each in (first, second)] == [True, False]
        kept = api.get(f"{_SECRETS}/{name}")
        assert kept and kept["data"] == {"password": "b25l"}
        assert own.request("GET", f"{_SECRETS}/{name}")[0] == 403, "it makes Secrets, and reads none"
        assert own.request("DELETE", f"{_SECRETS}/{name}")[0] == 403
    finally:
        api.delete(f"{_SECRETS}/{name}")
