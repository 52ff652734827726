"""What an overlay may take besides is taken by a real API server too, and the Secrets of a trial make themselves."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.architecture.kustomizations import make_secrets
from tests.cluster.api import Api
from tests.cluster.deployed import ROOT, Applier, named, rendered
from tests.cluster.rights import account

pytestmark = pytest.mark.parametrize("server", ["real"], indirect=True)
KNATIVE = ROOT / "knative"
COMPONENTS = sorted(
    [*(path.parent for path in KNATIVE.glob("components/*/kustomization.yaml")), KNATIVE / "platform/telemetry"]
)
_SECRETS = "/api/v1/namespaces/facteur/secrets"
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
    for name in ("facteur", "kourier-system", "argo-workflows"):
        own.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return own


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda path: path.name)
def test_a_component_of_the_platform_is_taken_without_a_warning(
    applier: Applier, component: Path, tmp_path: Path
) -> None:
    made = _rendered(tmp_path, component)
    assert {name: warned for name, manifest in made.items() if (warned := applier.apply(manifest)[1])} == {}


def _rendered(folder: Path, component: Path) -> dict[str, dict[str, object]]:
    # kustomize takes no absolute paths.
    said = _KUSTOMIZATION.format(knative=os.path.relpath(KNATIVE, folder), component=os.path.relpath(component, folder))
    (folder / "kustomization.yaml").write_text(said, encoding="utf-8")
    return {named(manifest): manifest for manifest in rendered(folder)}


def test_the_secrets_that_are_missing_are_made_and_those_that_are_there_stay(
    api: Api, applier: Applier, tmp_path: Path
) -> None:
    for manifest in rendered(KNATIVE / "overlays" / "local"):
        if manifest["metadata"]["name"] == "make-secrets":
            applier.apply(manifest)
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
