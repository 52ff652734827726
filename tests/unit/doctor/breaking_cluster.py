"""Ways to break a healthy install: its events, rights and networks."""

from typing import Any

import yaml

from tests.unit.doctor.breaking import Break, container, template
from tests.unit.doctor.installed import NAMESPACE, ROOT, Install


def delivery(**changes: Any) -> Break:
    """The broker's delivery with other fields; None takes one away."""

    def change(install: Install) -> None:
        known = install.objects["Broker"][0]["spec"]["delivery"]
        known.update(changes)
        for name, value in changes.items():
            if value is None:
                del known[name]

    return change


def in_memory(install: Install) -> None:
    """A broker that reads a trigger's own delivery in place of its own; that of Kafka puts both together."""
    install.objects["Broker"][0]["metadata"]["annotations"] = {
        "eventing.knative.dev/broker.class": "MTChannelBasedBroker"
    }


def bound(account: str, *rules: dict[str, Any], namespace: str = "", role_name: str = "another") -> Break:
    """An account of the functions with rules of its own, everywhere or in one namespace."""

    def change(install: Install) -> None:
        kind = "Role" if namespace else "ClusterRole"
        place = {"namespace": namespace} if namespace else {}
        where, name = account.split(":")
        install.objects[kind].append({"metadata": {"name": role_name, **place}, "rules": list(rules)})
        install.objects[f"{kind}Binding"].append(
            {
                "metadata": {"name": role_name, **place},
                "roleRef": {"kind": kind, "name": role_name},
                "subjects": [{"kind": "ServiceAccount", "namespace": where, "name": name}],
            }
        )

    return change


def rule(verbs: str, resources: str, group: str = "") -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}


def trigger(name: str = "dispatcher.tick", **spec: Any) -> Break:
    return lambda install: install.one("Trigger", name)["spec"].update(spec)


def filters(**dialects: dict[str, str]) -> Break:
    """One more trigger, with filters of these dialects."""
    spec = {"broker": "facteur", "filters": [dialects], "subscriber": {"uri": "http://somebody"}}
    return lambda install: install.objects["Trigger"].append({"metadata": {"name": "filtered"}, "spec": spec})


def second_trigger(install: Install) -> None:
    known = install.one("Trigger", "dispatcher.tick")
    install.objects["Trigger"].append({**known, "metadata": {"name": "dispatcher.tick-2", "namespace": NAMESPACE}})


def kafka_source(**delivery: Any) -> Break:
    sink = {"ref": {"kind": "Broker", "name": "facteur", "apiVersion": "eventing.knative.dev/v1"}}
    letters = {"deadLetterSink": sink, "retry": 3, "backoffPolicy": "exponential", "backoffDelay": "PT1S"}
    told = {name: value for name, value in (letters | delivery).items() if value is not None}
    source = {"kind": "KafkaSource", "metadata": {"name": "records"}, "spec": {"sink": sink, "delivery": told}}
    return lambda install: install.objects["KafkaSource"].append(source)


def source(name: str, **spec: Any) -> Break:
    """One more source like that of Jobs, with another spec."""

    def change(install: Install) -> None:
        known = install.one("ApiServerSource", "jobs")
        install.objects["ApiServerSource"].append({"metadata": {"name": name}, "spec": {**known["spec"], **spec}})

    return change


def failed_job(install: Install) -> None:
    install.objects["Job"][0]["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}


def old_and_silent(install: Install) -> None:
    for each in install.objects["Trigger"]:
        each["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"


def shared_account(install: Install) -> None:
    template(install, "embedder")["spec"]["serviceAccountName"] = "callback"


def mounted(install: Install) -> None:
    template(install, "embedder")["spec"]["automountServiceAccountToken"] = True


def unmounted(install: Install) -> None:
    template(install, "dispatcher")["spec"]["automountServiceAccountToken"] = False


def no_denial(namespace: str) -> Break:
    def change(install: Install) -> None:
        install.objects["NetworkPolicy"] = [
            each
            for each in install.objects["NetworkPolicy"]
            if (each["metadata"]["namespace"], each["metadata"]["name"]) != (namespace, "default-deny")
        ]

    return change


def no_policies_of(namespace: str) -> Break:
    def change(install: Install) -> None:
        kept = [each for each in install.objects["NetworkPolicy"] if each["metadata"]["namespace"] != namespace]
        install.objects["NetworkPolicy"] = kept

    return change


def opened(namespace: str, direction: str, *rules: dict[str, Any]) -> Break:
    """The denial of a namespace with rules of its own."""

    def change(install: Install) -> None:
        for each in install.objects["NetworkPolicy"]:
            if (each["metadata"]["namespace"], each["metadata"]["name"]) == (namespace, "default-deny"):
                each["spec"][direction] = list(rules)

    return change


def tasks_reach(*rules: dict[str, Any]) -> Break:
    """Tasks reach what these rules say."""
    return lambda install: install.one("NetworkPolicy", "runner")["spec"].update(egress=list(rules))


def gateway(closed: bool) -> Break:
    """A cluster whose ingress is Kourier, closed or as it comes."""

    def change(install: Install) -> None:
        install.objects["Namespace"].append({"metadata": {"name": "kourier-system"}})
        if closed:
            folder = ROOT / "knative" / "components" / "closed-gateway"
            install.objects["NetworkPolicy"].append(yaml.safe_load((folder / "gateway.networkpolicy.yaml").read_text()))

    return change


def plugin(image: str, *arguments: str, name: str = "network") -> Break:
    def change(install: Install) -> None:
        pods = install.objects["DaemonSet"][0]
        pods["metadata"]["name"] = name
        told = {"name": "agent", "image": image, "args": list(arguments)}
        pods["spec"]["template"]["spec"]["containers"] = [told]

    return change


def traffic(install: Install) -> None:
    install.one("Service", "callback")["spec"]["traffic"] = [{"revisionName": "callback-00001", "percent": 100}]


def no_root_forbidden(install: Install) -> None:
    container(install, "callback")["securityContext"].pop("runAsNonRoot")


def runner_mounted(install: Install) -> None:
    install.one("ServiceAccount", "codex-runner").pop("automountServiceAccountToken")
