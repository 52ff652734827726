"""The network policies fit what they stand beside."""

import yaml

from tests.architecture.tree import FUNCTIONS, ROOT, kebab, text

POLICIES = {path: yaml.safe_load(path.read_text()) for path in (ROOT / "knative").rglob("*.networkpolicy.yaml")}


def test_a_policy_is_named_after_the_function_whose_pods_it_selects() -> None:
    assert POLICIES
    for path, policy in POLICIES.items():
        name = policy["metadata"]["name"]
        assert name in map(kebab, FUNCTIONS)
        assert path.name == f"{name}.networkpolicy.yaml"
        assert policy["spec"]["podSelector"]["matchLabels"] == {"serving.knative.dev/service": name}


def test_no_policy_lets_everybody_in() -> None:
    for policy in POLICIES.values():
        assert policy["spec"]["policyTypes"] == ["Ingress"]
        for rule in policy["spec"]["ingress"]:
            assert rule["ports"], "every port"
            assert all(peer["namespaceSelector"]["matchLabels"] for peer in rule["from"]), "every namespace"


def test_the_setting_that_opens_a_door_names_the_policy_beside_it() -> None:
    line = next(
        line for line in text("docs/configuration.md").splitlines() if line.startswith("- FACTEUR_CODEX_TASKS_OPEN")
    )
    assert "knative/platform/codex-intake.networkpolicy.yaml" in line
