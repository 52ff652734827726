"""What is announced is heard: event types, triggers, handlers and data sheets say the same."""

import ast
import re
from collections.abc import Iterator

import pytest
import yaml

from shared.events import catalogue
from shared.local import manifests
from tests.architecture.loaded import loaded
from tests.architecture.tree import FUNCTIONS, ROOT, code, kebab, tree

EVENTING = ROOT / "eventing"
FOUND = manifests.load(EVENTING)
FACTS = {fact.__name__: fact.type for fact in catalogue.FACTS}
# Every event type, by the word that people use for it.
WORDS = {word: type_ for type_, word in catalogue.WORDS.items()}
# The same words in the name of a trigger.
TRIGGER_WORDS = {
    word.removeprefix("a ").replace(".", "-").replace(" ", "-").lower(): type_ for word, type_ in WORDS.items()
}


def emitted(function: str) -> set[str]:
    """The event types that the code of a function makes."""
    return {type_ for path in code(function) for type_ in _made(path)}


def _made(path: str) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id in FACTS:
            yield FACTS[node.func.id]
        if node.func.id == "Event":
            given = next(keyword.value for keyword in node.keywords if keyword.arg == "type")
            assert isinstance(given, ast.Name), f"{path}: the type of an event is one of the catalogue"
            yield getattr(catalogue, given.id)


def heard(service: str) -> set[str]:
    """The event types that the triggers bring to a service."""
    return {trigger.attributes["type"] for trigger in FOUND.triggers if trigger.subscriber.service == service}


def test_the_catalogue_knows_every_fact_that_it_defines() -> None:
    defined = {
        kind
        for kind in vars(catalogue).values()
        if isinstance(kind, type) and issubclass(kind, catalogue.Fact) and kind is not catalogue.Fact
    }
    assert defined == set(catalogue.FACTS)


def test_the_type_of_a_fact_is_made_from_the_name_of_its_class() -> None:
    for name, type_ in FACTS.items():
        about, *happened = re.findall("[A-Z][a-z]+", name)
        assert type_ == f"{catalogue.PREFIX}{about}.{'-'.join(happened)}.v1".lower()


def test_every_event_type_has_a_trigger() -> None:
    assert {trigger.attributes["type"] for trigger in FOUND.triggers} == set(WORDS.values())


def test_every_fact_is_made_by_some_function() -> None:
    made = {type_ for function in FUNCTIONS for type_ in emitted(function)}
    assert made == {*FACTS.values(), catalogue.TASK_REQUESTED}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_handles_exactly_what_its_triggers_bring(function: str) -> None:
    assert loaded(function).events == heard(kebab(function))


def test_the_subscriber_of_every_trigger_is_a_function() -> None:
    assert {trigger.subscriber.service for trigger in FOUND.triggers} <= set(map(kebab, FUNCTIONS))
    assert {trigger.subscriber.uri for trigger in FOUND.triggers} == {""}


def test_a_trigger_is_named_after_its_subscriber_and_its_event() -> None:
    for trigger in FOUND.triggers:
        subscriber, word = trigger.name.split(".")
        assert subscriber == trigger.subscriber.service
        assert TRIGGER_WORDS[word] == trigger.attributes["type"], trigger.name


def test_a_manifest_file_is_named_after_what_is_in_it() -> None:
    files = {path.stem for path in (EVENTING / "triggers").glob("*.yaml")}
    assert files == {trigger.name for trigger in FOUND.triggers}
    assert {path.stem for path in (EVENTING / "sources").glob("*.yaml")} >= {ping.name for ping in FOUND.pings}
    assert {path.name for path in EVENTING.glob("*.yaml")} == {"broker.yaml", "kustomization.yaml"}


def test_what_is_deployed_is_what_the_twin_reads() -> None:
    listed = yaml.safe_load((EVENTING / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    folders = ("triggers", "sources", "eventtypes")
    files = {f"{folder}/{path.name}" for folder in folders for path in (EVENTING / folder).glob("*.yaml")}
    assert sorted(listed) == sorted({"broker.yaml", *files})


def test_every_trigger_says_how_it_is_delivered_and_why() -> None:
    said = {"retry", "backoffPolicy", "backoffDelay", "timeout", "deadLetterSink"}
    for path in (EVENTING / "triggers").glob("*.yaml"):
        written = path.read_text(encoding="utf-8")
        assert set(yaml.safe_load(written)["spec"]["delivery"]) == said, path.name
        assert written.startswith("# "), f"{path.name} does not say why"


def test_a_function_may_work_for_as_long_as_its_deliveries_wait_and_is_given_time_between_them() -> None:
    for trigger in FOUND.triggers:
        assert trigger.delivery.retry > 0 and trigger.delivery.backoff_delay > 0, trigger.name
        (limit,) = re.findall(r"\n      timeoutSeconds: (\d+)\n", _base(trigger.subscriber.service))
        assert trigger.delivery.timeout <= int(limit), trigger.name


def _base(service: str) -> str:
    return (ROOT / "knative" / "base" / f"{service}.yaml").read_text(encoding="utf-8")


def test_the_broker_is_open_to_every_source_and_every_sink_binding_and_to_nobody_else() -> None:
    policy = yaml.safe_load((EVENTING / "components" / "oidc" / "broker.eventpolicy.yaml").read_text(encoding="utf-8"))
    named = {(end["ref"]["kind"], end["ref"]["name"]) for end in policy["spec"]["from"]}
    files = [*(EVENTING / "sources").glob("*.yaml"), *(ROOT / "knative" / "base").glob("*.yaml")]
    found = [each for path in files for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    group = "sources.knative.dev/"
    made = [each for each in found if each.get("apiVersion", "").startswith(group)]
    senders = {(each["kind"], each["metadata"]["name"]) for each in made}
    assert named == senders


def test_there_is_a_ping_source_and_it_is_heard() -> None:
    assert FOUND.pings
    assert any(trigger.attributes["type"] == catalogue.PING for trigger in FOUND.triggers)


def test_dead_letters_go_to_a_route_that_exists() -> None:
    sinks = {trigger.delivery.dead_letter_sink for trigger in FOUND.triggers}
    for sink in sinks:
        assert sink is not None, "a trigger without a dead-letter sink loses events"
        assert f"POST {sink.uri}" in loaded(sink.service.replace("-", "_")).routes
