"""What is announced is heard: event types, triggers, handlers and data sheets say the same."""

import ast
import re
from collections.abc import Iterator

import pytest

from shared.events import catalogue
from shared.local import manifests
from tests.architecture.loaded import loaded
from tests.architecture.tree import FUNCTIONS, ROOT, kebab, modules, tree

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
    return {type_ for path in modules(f"functions/{function}") for type_ in _made(path)}


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
    assert {path.name for path in EVENTING.glob("*.yaml")} == {"broker.yaml"}


def test_there_is_a_ping_source_and_it_is_heard() -> None:
    assert FOUND.pings
    assert any(trigger.attributes["type"] == catalogue.PING for trigger in FOUND.triggers)


def test_dead_letters_go_to_a_route_that_exists() -> None:
    sinks = {trigger.delivery.dead_letter_sink for trigger in FOUND.triggers}
    for sink in sinks:
        assert sink is not None, "a trigger without a dead-letter sink loses events"
        assert f"POST {sink.uri}" in loaded(sink.service.replace("-", "_")).routes
