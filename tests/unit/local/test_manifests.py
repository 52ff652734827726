"""The manifests: what is understood, and that every mistake is named in one go."""

from pathlib import Path
from textwrap import dedent

import pytest

from shared.events.event import Event
from shared.local.manifests import Delivery, Destination, ManifestError, PingSource, Trigger, load

BROKER = """
    apiVersion: eventing.knative.dev/v1
    kind: Broker
    metadata: {name: default, namespace: facteur}
    spec:
      config: {apiVersion: v1, kind: ConfigMap, name: config-br-default-channel, namespace: knative-eventing}
      delivery:
        retry: 5
        backoffPolicy: exponential
        backoffDelay: PT0.5S
        deadLetterSink:
          ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: codex-intake}
          uri: /dead-letters
"""
TRIGGER = """
    apiVersion: eventing.knative.dev/v1
    kind: Trigger
    metadata: {name: embedder.task.accepted}
    spec:
      broker: default
      filter:
        attributes: {type: ai.proompteng.codex.task.accepted.v1, tenant: ""}
      subscriber:
        ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: embedder}
"""
PING = """
    apiVersion: sources.knative.dev/v1
    kind: PingSource
    metadata: {name: tick}
    spec:
      schedule: "*/1 * * * *"
      timezone: Europe/Paris
      contentType: application/json
      data: '{"tick": true}'
      sink:
        ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: default}
"""
API_SERVER = """
    apiVersion: sources.knative.dev/v1
    kind: ApiServerSource
    metadata: {name: jobs}
    spec: {resources: [{apiVersion: batch/v1, kind: Job}]}
"""
FROM_BROKER = Delivery(5, "exponential", 0.5, 30.0, Destination("codex-intake", "/dead-letters"))


def write(folder: Path, broker: str | None = BROKER, trigger: str | None = TRIGGER, source: str | None = PING) -> Path:
    for place, text in (("broker.yaml", broker), ("triggers/a.yaml", trigger), ("sources/a.yaml", source)):
        if text is not None:
            (folder / place).parent.mkdir(exist_ok=True)
            (folder / place).write_text(dedent(text))
    return folder


def mistakes(folder: Path) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load(folder)
    return str(caught.value).splitlines()


def test_the_three_kinds_are_read(tmp_path: Path) -> None:
    found = load(write(tmp_path))
    assert (found.broker.name, found.broker.delivery) == ("default", FROM_BROKER)
    (trigger,) = found.triggers
    assert (trigger.name, trigger.subscriber) == ("embedder.task.accepted", Destination("embedder"))
    assert trigger.attributes == {"type": "ai.proompteng.codex.task.accepted.v1", "tenant": ""}
    ping = PingSource("tick", "*/1 * * * *", "Europe/Paris", b'{"tick": true}', "application/json")
    assert found.pings == (ping,)
    assert found.services == {"codex-intake", "embedder"}


def test_a_trigger_without_delivery_has_the_brokers_and_with_one_has_nothing_of_it(tmp_path: Path) -> None:
    own = TRIGGER.replace("embedder.task.accepted", "own") + "      delivery: {retry: 1, timeout: PT2M}\n"
    write(tmp_path)
    (tmp_path / "triggers/b.yml").write_text(dedent(own))
    first, second = load(tmp_path).triggers
    assert first.delivery == FROM_BROKER
    assert second.delivery == Delivery(1, None, 0.0, 120.0, None)


def test_a_file_may_hold_several_documents_and_sources_that_only_a_cluster_has(tmp_path: Path) -> None:
    second = TRIGGER.replace("embedder.task.accepted", "second")
    found = load(write(tmp_path, trigger=f"{dedent(TRIGGER)}---\n{dedent(second)}", source=API_SERVER))
    assert [trigger.name for trigger in found.triggers] == ["embedder.task.accepted", "second"]
    assert found.pings == ()


def test_a_destination_is_resolved_against_the_address_of_its_service() -> None:
    addresses = {"a": "http://127.0.0.1:1"}
    assert Destination("a").url(addresses) == "http://127.0.0.1:1/"
    assert Destination("a", "/x/y").url(addresses) == Destination("a", "x/y").url(addresses) == "http://127.0.0.1:1/x/y"


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        ({}, True),
        ({"type": "t"}, True),
        ({"type": "T"}, False),
        ({"type": "t", "source": "/other"}, False),
        ({"tenant": "a"}, True),
        ({"tenant": ""}, True),
        ({"subject": ""}, False),
        ({"region": ""}, False),
        ({"specversion": "1.0"}, True),
    ],
)
def test_a_filter_compares_attributes_exactly_and_empty_means_present(wanted: dict[str, str], passes: bool) -> None:
    event = Event("1", "/s", "t", extensions={"tenant": "a"})
    assert Trigger("n", Destination("a"), Delivery(), wanted).wants(event) is passes


def test_exact_filters_are_understood_and_other_dialects_are_refused(tmp_path: Path) -> None:
    old = 'filter:\n        attributes: {type: ai.proompteng.codex.task.accepted.v1, tenant: ""}'
    assert old in TRIGGER
    exact = TRIGGER.replace(old, "filters: [{exact: {type: t}}, {exact: {tenant: a}}]")
    assert load(write(tmp_path, trigger=exact)).triggers[0].attributes == {"type": "t", "tenant": "a"}
    write(tmp_path, trigger=TRIGGER.replace(old, "filters: [{prefix: {type: t}}]"))
    assert mistakes(tmp_path) == [
        "triggers/a.yaml: spec.filters[0].prefix is not known here: use exact",
        "triggers/a.yaml: spec.filters[0].exact is missing",
    ]
    write(tmp_path, trigger=TRIGGER.replace(old, "filters: [{exact: {type: t}}, {exact: {type: u}}]"))
    assert mistakes(tmp_path) == ["triggers/a.yaml: spec.filters contradict each other: no event can pass all of them"]


def test_every_mistake_in_every_file_is_named_at_once(tmp_path: Path) -> None:
    broker = BROKER.replace("retry: 5", "retry: often").replace("PT0.5S", "0.5s")
    trigger = TRIGGER.replace("broker: default", "broker: other").replace("tenant:", "Tenant:")
    source = PING.replace("*/1 * * * *", "every minute").replace("Europe/Paris", "Mars/Base")
    assert mistakes(write(tmp_path, broker, trigger, source)) == [
        "broker.yaml: spec.delivery.retry must be a whole number from 0 to 1000",
        "broker.yaml: spec.delivery.backoffDelay must be an ISO 8601 duration, like PT0.5S or PT1M",
        "triggers/a.yaml: spec.broker must be default, the broker of broker.yaml",
        "triggers/a.yaml: spec.filter.attributes.Tenant is no CloudEvents attribute name: "
        "lower-case letters and digits only",
        'sources/a.yaml: spec.schedule must be a cron schedule of five fields, like "*/5 * * * *"',
        "sources/a.yaml: spec.timezone must be a time zone by its tz database name, like Europe/Paris",
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "mistake"),
    [
        ("kind: Broker", "kind: Channel", "kind must be Broker"),
        ("eventing.knative.dev/v1", "eventing.knative.dev/v2", "apiVersion must be eventing.knative.dev/v1"),
        ("exponential", "random", "spec.delivery.backoffPolicy must be exponential or linear"),
        ("retry: 5", "retries: 5", "spec.delivery.retries is not known here"),
        ("retry: 5", "retry: -1", "spec.delivery.retry must be a whole number"),
        ("retry: 5", "retry: true", "spec.delivery.retry must be a whole number"),
        ("retry: 5", "timeout: PT0S", "spec.delivery.timeout must be longer than PT0S"),
        ("retry: 5", "retry: 5\n        retry: 6", "is not valid YAML in line"),
        ("PT0.5S", "P", "spec.delivery.backoffDelay must be an ISO 8601 duration"),
        ("PT0.5S", "1", "spec.delivery.backoffDelay must be text"),
        ("kind: Service", "kind: Broker", "spec.delivery.deadLetterSink.ref.kind must be Service"),
        ("uri: /dead-letters", "uri: http://elsewhere/", "spec.delivery.deadLetterSink.uri must be a path"),
        ("name: default,", "", "metadata.name is missing"),
        ("name: default,", "name: The Broker,", "metadata.name must be lower-case"),
        ("metadata: {name: default, namespace: facteur}", "metadata: default", "metadata must be a mapping"),
    ],
)
def test_one_mistake_in_the_broker_is_one_line(tmp_path: Path, right: str, wrong: str, mistake: str) -> None:
    assert right in BROKER
    (line,) = mistakes(write(tmp_path, BROKER.replace(right, wrong)))
    assert line.startswith("broker.yaml: ") and mistake in line


@pytest.mark.parametrize(
    ("right", "wrong", "mistake"),
    [
        ("kind: Trigger", "kind: PingSource", "kind must be Trigger"),
        ("broker: default", "broker: other", "spec.broker must be default"),
        ("      broker: default\n", "", "spec.broker is missing"),
        ("attributes: {", "attribute: {", "spec.filter.attribute is not known here: use attributes"),
        ('tenant: ""', "tenant: 1.0", "spec.filter.attributes.tenant must be text: put it in quotes"),
        ("name: embedder}", "nam: embedder}", "spec.subscriber.ref.nam is not known here"),
        ("filter:", "filters: [{exact: {a: b}}]\n      filter:", "spec.filters cannot stand beside filter"),
        ("subscriber:", "delivery: fast\n      subscriber:", "spec.delivery must be a mapping"),
    ],
)
def test_a_mistake_in_a_trigger_is_named(tmp_path: Path, right: str, wrong: str, mistake: str) -> None:
    assert right in TRIGGER
    assert any(mistake in line for line in mistakes(write(tmp_path, trigger=TRIGGER.replace(right, wrong))))


@pytest.mark.parametrize(
    ("right", "wrong", "mistake"),
    [
        ("*/1 * * * *", "@hourly", "spec.schedule must be a cron schedule of five fields"),
        ("*/1 * * * *", "* * * * * *", "spec.schedule must be a cron schedule of five fields"),
        ("*/1 * * * *", "61 * * * *", "spec.schedule must be a cron schedule that comes true"),
        ("*/1 * * * *", "0 0 30 2 *", "spec.schedule must be a cron schedule that comes true"),
        ("*/1 * * * *", "R * * * *", "spec.schedule must be a cron schedule of five fields"),
        ("Europe/Paris", "../etc/passwd", "spec.timezone must be a time zone"),
        ("contentType:", "dataBase64: e30=\n      contentType:", "spec.dataBase64 cannot stand beside data"),
        ("data: '{\"tick\": true}'", "dataBase64: '{'", "spec.dataBase64 must be base64"),
        ("kind: Broker", "kind: Service", "spec.sink.ref.kind must be Broker"),
        ("name: default", "name: other", "spec.sink.ref.name must be default"),
        ("kind: PingSource", "kind: KafkaSource", "kind must be PingSource or ApiServerSource"),
    ],
)
def test_a_mistake_in_a_source_is_named(tmp_path: Path, right: str, wrong: str, mistake: str) -> None:
    assert right in PING
    (line,) = mistakes(write(tmp_path, source=PING.replace(right, wrong)))
    assert line.startswith("sources/a.yaml: ") and mistake in line


def test_a_name_that_is_used_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "triggers/b.yaml").write_text(dedent(TRIGGER))
    (line,) = mistakes(tmp_path)
    assert line.startswith("triggers/b.yaml: metadata.name is the name of another Trigger")


def test_two_brokers_are_refused(tmp_path: Path) -> None:
    second = dedent(BROKER).replace("name: default", "name: second")
    assert mistakes(write(tmp_path, f"{dedent(BROKER)}---\n{second}")) == ["broker.yaml: must hold one Broker only"]


def test_files_that_cannot_be_read_as_manifests_are_named(tmp_path: Path) -> None:
    write(tmp_path, broker=None, trigger="a: [", source="")
    (tmp_path / "triggers/latin.yaml").write_bytes(b"a: \xe9")
    (tmp_path / "triggers/list.yaml").write_text("- kind: Trigger\n")
    said = mistakes(tmp_path)
    assert len(said) == 5
    for expected in (
        "broker.yaml: cannot be read",
        "triggers/a.yaml: is not valid YAML in line 1",
        "triggers/latin.yaml: is not UTF-8 text",
        "triggers/list.yaml: the document must be a mapping",
        "sources/a.yaml: is empty",
    ):
        assert any(line.startswith(expected) for line in said), said


def test_manifests_cannot_make_python_objects(tmp_path: Path) -> None:
    (line,) = mistakes(write(tmp_path, source="!!python/object/apply:os.getcwd []"))
    assert line.startswith("sources/a.yaml: is not valid YAML")
