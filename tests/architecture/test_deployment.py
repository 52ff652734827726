"""What is deployed fits the code: accounts, bounds, images, receivers and rights."""

import re
from pathlib import Path

import pytest
import yaml

from shared.cli.waiting import seconds
from shared.doctor.function_checks import CONNECTIONS
from shared.web import serve, streams
from tests.architecture.data_sheet import data_sheet, shape
from tests.architecture.deployed import BASE, NAMES, SERVICES, every_function, every_overlay, read_by, spec
from tests.architecture.kustomizations import KNATIVE, OVERLAYS, documents, files, kustomization, of_kind, pod_specs
from tests.architecture.pools import pooled
from tests.architecture.tree import FUNCTIONS, ROOT, below, kebab, text

_LOCAL = "networking.knative.dev/visibility"
ASKING_IF_TOLD = {name for name in NAMES if "FACTEUR_TOKEN_REVIEW_CALLERS" in read_by(name)}
PLAIN_SERVERS = KNATIVE / "platform" / "plain-servers"
_CONNECTIONS_KEPT = 20  # for people, the operator and embedder's indexes


def annotation(name: str, key: str) -> int:
    return int(SERVICES[name]["spec"]["template"]["metadata"]["annotations"][f"autoscaling.knative.dev/{key}"])


# --- pods ---


def test_every_function_is_a_service_that_runs_as_an_account_of_its_name() -> None:
    accounts = {account["metadata"]["name"] for account in of_kind(BASE, "ServiceAccount")}
    assert set(SERVICES) == set(NAMES) <= accounts
    assert {name: spec(name)["serviceAccountName"] for name in NAMES} == {name: name for name in NAMES}


@every_function
def test_a_service_is_probed_and_bounded(name: str) -> None:
    container = spec(name)["containers"][0]
    assert container["readinessProbe"] == {"httpGet": {"path": "/readyz"}}, "with a period Knative waits for its end"
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz"}
    threads = serve._MORE_THREADS.get(name, serve._THREADS)
    assert 0 < annotation(name, "target") < spec(name)["containerConcurrency"] <= threads
    assert 0 == annotation(name, "min-scale") < annotation(name, "max-scale")


def test_a_followed_timeline_ends_before_knative_ends_it() -> None:
    assert streams.LONGEST < spec("codex-intake")["timeoutSeconds"] <= 600, "more than Knative's own maximum"


@pytest.mark.parametrize("folder", [*OVERLAYS, *sorted(KNATIVE.glob("components/*"))], ids=lambda path: path.name)
def test_every_pod_is_restricted_and_has_a_limit_of_memory_and_none_of_cpu(folder: Path) -> None:
    for document, pod, _ in pod_specs(documents(folder)):
        for container in pod["containers"]:
            who = f"{document['kind']} {document['metadata']['name']}"
            context = {**pod.get("securityContext", {}), **container["securityContext"]}
            assert context["runAsNonRoot"] and context["runAsUser"] > 0, who
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}, who
            assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"], who
            assert context["capabilities"] == {"drop": ["ALL"]}, who
            assert set(container["resources"]["limits"]) == {"memory"}, who
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}, who


def test_a_token_of_the_cluster_is_there_for_those_who_always_ask_it_alone() -> None:
    mounted = {name for name in NAMES if spec(name).get("automountServiceAccountToken", True)}
    asking = {name for name in NAMES if "FACTEUR_KUBERNETES_API_URL" in read_by(name)}
    assert mounted == asking - ASKING_IF_TOLD


def test_those_who_know_callers_by_their_accounts_have_token_right_and_way_by_a_component_of_its_own() -> None:
    folder = KNATIVE / "components" / "token-review"
    for patch in kustomization(folder)["patches"]:
        assert set(patch["target"]["name"].split("|")) == ASKING_IF_TOLD
    (binding,) = of_kind(documents(folder), "ClusterRoleBinding")
    assert {subject["name"] for subject in binding["subjects"]} == ASKING_IF_TOLD
    (policy,) = of_kind(documents(folder), "NetworkPolicy")
    assert set(policy["spec"]["podSelector"]["matchExpressions"][0]["values"]) == ASKING_IF_TOLD


def test_the_database_has_a_connection_for_every_pod_that_there_may_be() -> None:
    pods = {name: annotation(name, "max-scale") for name in NAMES}
    needed = sum(pods[kebab(function)] * pooled(function) for function in FUNCTIONS)
    (cluster,) = of_kind(documents(KNATIVE / "platform" / "operators"), "Cluster")
    assert needed + _CONNECTIONS_KEPT <= int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])
    assert f"there may be {sum(pods.values())} pods" in text("knative/platform/operators/postgres.yaml")


def test_what_a_doctor_takes_for_the_pools_is_what_they_are() -> None:
    assert {kebab(function): pooled(function) for function in FUNCTIONS} == CONNECTIONS


# --- the first start, and an upgrade ---


def test_new_revisions_wait_longer_for_the_migration_than_it_may_take_and_it_waits_for_the_server() -> None:
    (job,) = of_kind(BASE, "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["migrate", "--wait", "30m", "--require-roles"]
    waits = seconds(container["args"][2])
    assert waits <= job["spec"]["activeDeadlineSeconds"] - 1200, "there is time left to migrate"
    for name in NAMES:
        deadline = SERVICES[name]["spec"]["template"]["metadata"]["annotations"][
            "serving.knative.dev/progress-deadline"
        ]
        assert re.fullmatch(r"\d+s", deadline), "Knative takes whole seconds"
        assert seconds(deadline) >= job["spec"]["activeDeadlineSeconds"] + 300


def test_the_log_of_a_migration_that_failed_is_kept() -> None:
    (job,) = of_kind(BASE, "Job")
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert "ttlSecondsAfterFinished" not in job["spec"], "that it is there says that the release has migrated"


@every_overlay
def test_every_job_is_one_of_its_release(overlay: Path) -> None:
    replaced = [replacement["targets"] for replacement in kustomization(overlay)["replacements"]]
    named = {target["select"]["name"] for targets in replaced for target in targets}
    assert {"facteur-migrate-release", "facteur-bucket-release"} <= named
    assert named == {job["metadata"]["name"] for job in of_kind(documents(overlay), "Job")}


def test_a_server_that_makes_its_volume_is_ended_by_no_probe() -> None:
    pods = {document["metadata"]["name"]: pod for document, pod, _ in pod_specs(documents(PLAIN_SERVERS))}
    (container,) = pods["facteur-postgres"]["containers"]
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 1800
    # By address, where the server of a volume that is being made does not listen.
    assert startup["exec"]["command"] == container["readinessProbe"]["exec"]["command"]
    assert "--host=127.0.0.1" in startup["exec"]["command"]


# --- the outside ---


def test_only_a_function_whose_doors_all_ask_who_speaks_is_public() -> None:
    public = {name for name in NAMES if SERVICES[name]["metadata"].get("labels", {}).get(_LOCAL) != "cluster-local"}
    assert public == {"discord-interaction"}


def test_a_public_path_is_a_route_of_its_function_and_no_door_of_the_broker() -> None:
    for route in of_kind(documents(KNATIVE / "components" / "public-paths"), "HTTPRoute"):
        name = route["metadata"]["name"]
        known = {path for _, path in map(str.split, data_sheet(name.replace("-", "_")).routes)}
        for rule in route["spec"]["rules"]:
            assert rule["filters"][0]["urlRewrite"]["hostname"] == f"{name}.facteur.svc.cluster.local"
            paths = {match["path"]["value"] for match in rule["matches"]}
            assert paths <= known and not paths & {"/", "/dead-letters", "/events"}


def test_the_gateway_of_tasks_passes_on_what_their_token_is_good_for_and_nothing_else() -> None:
    folder = KNATIVE / "components" / "tasks-gateway"
    locations = re.findall(r'location ~ "(.*)" \{\n.*Host ([a-z-]+)\.', (folder / "nginx.conf").read_text())
    identifier = "0" * 8 + "-0000" * 3 + "-" + "0" * 12
    open_to_tasks = {
        (kebab(function), path)
        for function in FUNCTIONS
        for path in {route.split()[1] for route in data_sheet(function).routes}
        for pattern, host in locations
        if host == kebab(function) and re.search(pattern, path.replace("{}", identifier))
    }
    assert open_to_tasks == {
        *(("callback", shape(path)) for path in _of_tasks("callback")),
        *(("memory-query", shape(path)) for path in _of_tasks("memory_query")),
    }
    assert not any(re.search(pattern, f"/v1/codex/tasks/{identifier}") for pattern, _ in locations)


def test_the_gateway_of_tasks_asks_again_where_the_ingress_is() -> None:
    folder = KNATIVE / "components" / "tasks-gateway"
    conf, start = (folder / "nginx.conf").read_text(), (folder / "start.sh").read_text()
    assert re.findall(r"proxy_pass (.*);", conf) == ["http://$ingress"] * 2, "a name that is not in a variable is kept"
    (resolver,) = re.findall(r"include (.*);", conf)
    assert f">{resolver}\n" in start


def _of_tasks(function: str) -> set[str]:
    return {route.split()[1] for route in data_sheet(function).routes if "/v1/codex/tasks/{}/" in route}


# --- everything ---


@every_overlay
def test_every_image_of_the_base_gets_a_place_and_a_release(overlay: Path) -> None:
    named = {container["image"] for _, pod, _ in pod_specs(BASE) for container in pod["containers"]}
    assert named == {*(f"facteur-{name}" for name in NAMES), "facteur-migrate"}
    given = {image["name"]: image for image in kustomization(overlay)["images"]}
    assert set(given) == named
    assert all(image["newName"].endswith(f"/{name}") for name, image in given.items())
    assert len({image["newTag"] for image in given.values()} - {"latest"}) == 1, "one release"


def test_every_manifest_is_taken_by_its_folder() -> None:
    for folder in {path.parent for path in below(KNATIVE, "kustomization.yaml")} - set(OVERLAYS):
        written = set(folder.glob("*.yaml")) - {folder / "kustomization.yaml", folder / "policy.yaml"}
        assert written == set(files(folder)), folder


@every_overlay
def test_whoever_is_to_be_delivered_to_is_there(overlay: Path) -> None:
    found = documents(overlay)
    services = {each["metadata"]["name"] for each in of_kind(found, "Service", "serving.knative.dev/")}
    brokers = {each["metadata"]["name"] for each in of_kind(found, "Broker")}
    triggers = of_kind(found, "Trigger")
    assert triggers
    for sender in [*triggers, *of_kind(found, "Broker")]:
        delivered = [sender["spec"].get("subscriber"), sender["spec"].get("delivery", {}).get("deadLetterSink")]
        assert {target["ref"]["name"] for target in delivered if target} <= services
    assert {trigger["spec"]["broker"] for trigger in triggers} <= brokers


def test_no_right_is_a_wildcard() -> None:
    rules = [
        (path, rule)
        for path in below(KNATIVE, "*.yaml")
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if isinstance(document, dict) and document.get("kind") in ("Role", "ClusterRole")
        for rule in document["rules"]
    ]
    assert len(rules) > 10
    for path, rule in rules:
        assert all("*" not in word for words in rule.values() for word in words), path.relative_to(ROOT)
