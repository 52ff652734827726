"""What looks wrong and is not is not found; and what cannot be judged is told in place of a guess."""

import pytest

from shared.doctor.access import needed
from shared.doctor.checks import Report, examine
from shared.doctor.cluster import Cluster
from shared.doctor.deployed import Deployed
from shared.doctor.examination import CHECKS
from shared.domain.cluster import Right
from shared.domain.condition import Bucket
from shared.domain.errors import Unavailable
from tests.unit.doctor.breaking import Break, both, drop, labelled, model, part, setting, template
from tests.unit.doctor.breaking_cluster import (
    filters,
    gateway,
    in_memory,
    kafka_source,
    opened,
    plugin,
    source,
    tasks_reach,
    trigger,
)
from tests.unit.doctor.installed import NAMESPACE, Install

_PACED = {"retry": 1, "backoffPolicy": "linear", "backoffDelay": "PT1S"}
_INTERNAL = "networking.knative.dev/visibility"
_CUSTOM = "http://{}.facteur.svc.k8s.corp"
WELL: dict[str, Break] = {
    "a delivery without a dead letter sink, which is the broker's": both(in_memory, trigger(delivery=_PACED)),
    "a delivery that a broker of Kafka completes": trigger(delivery={"timeout": "PT10S"}),
    "a source of Kafka, which pauses by itself": kafka_source(backoffPolicy=None, backoffDelay=None),
    "a type that a trigger with filters hears": both(
        drop("Trigger", "dispatcher.task-prepared"), filters(exact={"type": "ai.proompteng.codex.task.prepared.v1"})
    ),
    "names that all may ask for": opened("codex", "egress", {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]}),
    "tasks that reach one port everywhere": tasks_reach({"ports": [{"port": 443}]}),
    "tasks that reach port 80 by UDP": tasks_reach({"ports": [{"port": 80, "protocol": "UDP"}]}),
    "a door without a token, behind a closed gateway": both(
        setting("FACTEUR_CODEX_TASKS_OPEN", "true"), gateway(closed=True)
    ),
    "events of Discord without a token, and nothing public": both(
        setting("FACTEUR_DISCORD_EVENTS_OPEN", "true"),
        labelled("Service", "discord-interaction", _INTERNAL, "cluster-local"),
        gateway(closed=True),
    ),
    "the plugin of Amazon where it enforces": plugin(
        "aws-network-policy-agent:v1", "--enable-network-policy=true", name="aws-node"
    ),
    "a cluster with a domain of its own": both(
        setting("FACTEUR_CALLBACK_URL", _CUSTOM.format("callback")),
        setting("FACTEUR_MEMORY_URL", _CUSTOM.format("memory-query")),
    ),
    "two sources of one account": source("another", namespaceSelector=None),
}
UNJUDGED: dict[str, tuple[Break, str, str]] = {
    "a DaemonSet that only sounds like a plugin": (
        plugin("netdata/netdata:v2", name="netdata"),
        "network-policies-not-enforced",
        "no known network plugin",
    ),
    "settings in a file of a pod": (
        both(setting("FACTEUR_CONFIG_FILE", "/etc/facteur.yaml", "dispatcher"), drop("Namespace", "codex")),
        "runs-namespace-missing",
        "dispatcher reads a file in its pod",
    ),
    "filters of another dialect": (
        both(drop("Trigger", "dispatcher.task-prepared"), filters(prefix={"type": "dev."})),
        "event-unheard",
        "what the filters of filtered let through",
    ),
    "transactions that the role does not see": (
        part("database", oldest_transaction=None),
        "transaction-open-for-hours",
        "GRANT pg_read_all_stats",
    ),
    "too many vectors": (model(odd=None), "memory-dimension-wrong", "too many vectors"),
    "a page that is not found": (
        lambda install: install.others.update(bucket=Bucket("facteur", 404, "")),
        "bucket-refuses",
        "answers 404, which is not",
    ),
    "a refusal that nobody knows": (
        lambda install: install.others.update(bucket=Bucket("facteur", 403, "AccountProblem")),
        "bucket-refuses",
        "answers 403 AccountProblem",
    ),
    "a kind that gets no answer": (
        lambda install: install.objects.update(NetworkPolicy=Unavailable("the API server answers 500")),
        "network-open",
        "NetworkPolicy: the API server gave no answer",
    ),
}


def report(by: Break) -> Report:
    install = Install()
    by(install)
    return examine(CHECKS, install.parts())


@pytest.mark.parametrize("by", WELL.values(), ids=WELL.keys())
def test_what_is_well_is_not_found(by: Break) -> None:
    found = report(by)
    assert [f"{finding.check}: {finding.what}" for finding in found.findings] == []
    assert found.not_looked == ()


@pytest.mark.parametrize(("by", "check", "why"), UNJUDGED.values(), ids=UNJUDGED.keys())
def test_what_cannot_be_judged_is_told_and_not_found(by: Break, check: str, why: str) -> None:
    found = report(by)
    assert found.findings == ()
    assert any(check in missed.checks and why in missed.why for missed in found.not_looked)
    assert found.looked > len(CHECKS) - 20


def asked(*breaks: Break) -> dict[str, list[Right]]:
    """The rights that each account is asked for."""
    install = Install()
    both(*breaks)(install)
    parts = install.parts()
    cluster, deployed = parts["cluster"], parts["deployed"]
    assert isinstance(cluster, Cluster)
    assert isinstance(deployed, Deployed)
    return needed(cluster, deployed)


def test_sources_of_one_account_are_asked_for_what_each_watches() -> None:
    ingresses = [{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"}, {"apiVersion": "v1", "kind": "Policy"}]
    rights = asked(source("another", resources=ingresses, namespaceSelector=None))[f"{NAMESPACE}:jobs-source"]
    assert Right("batch", "jobs", "watch", "codex") in rights
    assert Right("networking.k8s.io", "ingresses", "list", NAMESPACE) in rights
    assert Right("", "policies", "list", NAMESPACE) in rights


@pytest.mark.parametrize(
    ("selector", "places"),
    [
        (None, {NAMESPACE}),
        ({}, {""}),
        ({"matchLabels": {"codex.proompteng.ai/runs": "true"}}, {"codex", "argo-workflows"}),
        (
            {"matchExpressions": [{"key": "codex.proompteng.ai/runs", "operator": "Exists"}]},
            {"codex", "argo-workflows"},
        ),
        ({"matchLabels": {"nobody": "has"}}, set()),
    ],
    ids=["own", "all", "labels", "expressions", "none"],
)
def test_a_source_is_asked_for_rights_where_it_watches(selector: object, places: set[str]) -> None:
    def ending(install: Install) -> None:
        known = install.one("Namespace", "codex")["metadata"]
        install.objects["Namespace"].append({"metadata": {**known, "name": "going", "deletionTimestamp": "now"}})

    resources = [{"apiVersion": "v1", "kind": "Pod"}]
    other = source("another", serviceAccountName="other", namespaceSelector=selector, resources=resources)
    rights = asked(other, ending)
    assert {right.namespace for right in rights.get(f"{NAMESPACE}:other", ())} == places


def test_an_account_of_a_function_and_a_source_is_asked_for_both() -> None:
    def shared(install: Install) -> None:
        template(install, "dispatcher")["spec"]["serviceAccountName"] = "jobs-source"

    rights = asked(shared)[f"{NAMESPACE}:jobs-source"]
    assert {Right("batch", "jobs", "create", "codex"), Right("batch", "jobs", "watch", "codex")} <= set(rights)


def test_a_look_at_a_cluster_never_shows_its_secrets() -> None:
    assert "Secret" not in repr(Install().parts()["cluster"])


def test_what_is_to_be_run_names_the_namespace_that_was_looked_at() -> None:
    install = Install()
    part("work", outbox=1, overdue=1, unembedded=1, unsettled=1)(install)
    findings = examine(CHECKS, {**install.parts(), "namespace": "elsewhere"}).findings
    assert len(findings) == 4
    assert all("-n elsewhere" in finding.fix and "-n facteur" not in finding.fix for finding in findings)
