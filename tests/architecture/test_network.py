"""The network policies let through what the code needs, and say of nobody that everybody may come."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.deployed import NAMES, every_function, every_overlay, read_by, variables
from tests.architecture.kustomizations import KNATIVE, OVERLAYS, Manifest, documents, of_kind, pod_specs
from tests.architecture.selectors import selects
from tests.architecture.tree import below, text

PLATFORM = documents(KNATIVE / "platform")
POLICIES = {policy["metadata"]["name"]: policy for policy in of_kind(PLATFORM, "NetworkPolicy")}
SERVERS = {"database": "FACTEUR_POSTGRES_DSN", "cache": "FACTEUR_REDIS_URL"}
_NAMESPACE = "kubernetes.io/metadata.name"
_SERVICE = "serving.knative.dev/service"
_ANYWHERE = "0.0.0.0/0"


def every_policy() -> Iterator[Manifest]:
    for path in below(KNATIVE, "*.networkpolicy.yaml"):
        yield from documents(path)


def reached(name: str) -> set[str]:
    """Where a function's own policy lets it go: components of the system, namespaces, and `outside`."""
    found = set()
    for rule in POLICIES[name]["spec"]["egress"]:
        for peer in rule["to"]:
            if "ipBlock" in peer:
                found.add("outside" if peer["ipBlock"].get("except") else "anywhere")
            elif "namespaceSelector" in peer:
                found.add(peer["namespaceSelector"]["matchLabels"][_NAMESPACE])
            else:
                found.add(peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"])
    return found


@pytest.mark.parametrize(
    ("expression", "fitting"),
    [
        ({"operator": "In", "values": ["a", "b"]}, {"a"}),
        ({"operator": "NotIn", "values": ["a"]}, {"c", ""}),
        ({"operator": "Exists"}, {"a", "c"}),
        ({"operator": "DoesNotExist"}, {""}),
    ],
    ids=["In", "NotIn", "Exists", "DoesNotExist"],
)
def test_a_selector_fits_whom_kubernetes_says(expression: Manifest, fitting: set[str]) -> None:
    selector = {"matchLabels": {"x": "y"}, "matchExpressions": [{"key": "key", **expression}]}
    found = {value for value in ("a", "c", "") if selects(selector, {"x": "y", **({"key": value} if value else {})})}
    assert found == fitting
    assert not any(selects(selector, {"key": value}) for value in fitting)


@every_function
def test_a_function_has_a_policy_of_its_name_in_a_file_of_its_name(name: str) -> None:
    (policy,) = documents(KNATIVE / "platform" / f"{name}.networkpolicy.yaml")
    assert policy["metadata"]["name"] == name
    assert policy["spec"]["podSelector"]["matchLabels"] == {_SERVICE: name}
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


@every_function
def test_a_function_reaches_what_its_settings_speak_of_and_nothing_else(name: str) -> None:
    expected = {"kube-system", "telemetry"}
    expected |= {server for server, variable in SERVERS.items() if variable in variables(name)}
    expected |= {"knative-eventing"} if "K_SINK" in read_by(name) else set()
    # Whoever reviews tokens reaches the API server by knative/components/token-review.
    launches = read_by(name) >= {"FACTEUR_KUBERNETES_API_URL", "FACTEUR_RUNNER_IMAGE"}
    expected |= {"anywhere"} if launches else set()
    expected |= {"outside"} if read_by(name) & {"OPENAI_API_KEY", "FACTEUR_DISCORD_BOT_TOKEN"} else set()
    # codex-intake signs links, and never speaks to the store.
    expected |= {"objects"} if name == "callback" else set()
    assert reached(name) == expected


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_is_reached_by_those_who_have_its_password(server: str) -> None:
    (rule,) = POLICIES[server]["spec"]["ingress"]
    (expression,) = (
        each for peer in rule["from"] for each in peer["podSelector"].get("matchExpressions", []) if "values" in each
    )
    assert expression["key"] == _SERVICE
    assert set(expression["values"]) == {name for name in NAMES if SERVERS[server] in variables(name)}


def test_in_both_namespaces_everything_is_denied_that_no_policy_allows() -> None:
    denials = [policy for policy in every_policy() if policy["spec"]["podSelector"] == {}]
    assert {policy["metadata"]["namespace"] for policy in denials} == {"facteur", "codex"}
    for policy in denials:
        assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_no_policy_lets_everybody_in() -> None:
    for policy in every_policy():
        for rule in policy["spec"].get("ingress", []):
            assert rule["ports"], "every port"
            if policy["metadata"]["name"] == "facteur-gateway" and "from" not in rule:
                continue  # the listeners for the world
            for peer in rule["from"]:
                selectors = [peer[key] for key in ("namespaceSelector", "podSelector") if key in peer]
                assert selectors and all(selectors), policy["metadata"]["name"]


def test_a_task_reaches_no_private_address_but_those_that_are_named() -> None:
    blocks = [
        peer["ipBlock"]
        for policy in every_policy()
        if policy["metadata"].get("namespace") == "codex"
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    (everywhere,) = (block for block in blocks if block["cidr"] == _ANYWHERE)
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(everywhere["except"])
    assert len(blocks) == 2 and all(block["except"] for block in blocks)


@every_overlay
def test_no_pod_is_left_with_the_denial_alone(overlay: Path) -> None:
    found = documents(overlay)
    selectors = [policy["spec"]["podSelector"] for policy in of_kind(found, "NetworkPolicy")]
    pods = [(document["metadata"]["name"], labels) for document, _, labels in pod_specs(found)]
    assert len(pods) > len(NAMES)
    for name, labels in pods:
        assert any(selector and selects(selector, labels) for selector in selectors), name


def test_the_overlays_take_the_policies() -> None:
    for overlay in OVERLAYS:
        taken = {policy["metadata"]["name"] for policy in of_kind(documents(overlay), "NetworkPolicy")}
        assert taken >= set(POLICIES)


def test_the_setting_that_opens_a_door_names_the_policy_beside_it() -> None:
    line = next(
        line for line in text("docs/configuration.md").splitlines() if line.startswith("- FACTEUR_CODEX_TASKS_OPEN")
    )
    assert "knative/platform/codex-intake.networkpolicy.yaml" in line
