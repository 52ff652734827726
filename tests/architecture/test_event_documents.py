"""Schemas and EventTypes are what the generator makes of the catalogue, and each example keeps to its schema."""

import json
from functools import cache
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from shared.events import catalogue, codec
from shared.local.event_documents import documents, told
from tests.architecture.test_events import EVENTING

# The task of the earlier system, as its own JSON.
OF_ANOTHER_KIND = {"codex-task.json"}
TYPES = sorted(catalogue.WORDS)
OF_JSON = [each.type for each in told() if each.data]


def example(type_: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((EVENTING / "examples" / f"{type_}.json").read_text(encoding="utf-8"))
    return read


@cache
def validator(type_: str) -> Any:
    schema = json.loads((EVENTING / "schemas" / f"{type_}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def test_what_is_generated_is_what_is_here() -> None:
    found = [path for folder in ("schemas", "eventtypes") for path in (EVENTING / folder).glob("*")]
    here = {str(path.relative_to(EVENTING)): path.read_text(encoding="utf-8") for path in found}
    assert here == documents(), "run: make eventing"


def test_every_event_type_has_a_schema_and_an_example() -> None:
    assert sorted(each.type for each in told()) == TYPES
    for folder, others in (("schemas", set()), ("examples", OF_ANOTHER_KIND)):
        files = {path.name for path in (EVENTING / folder).glob("*")}
        assert files == {f"{type_}.json" for type_ in TYPES} | others


@pytest.mark.parametrize("type_", TYPES)
def test_an_example_keeps_to_its_schema_and_can_be_read(type_: str) -> None:
    validator(type_).validate(example(type_))
    event = codec.from_json(json.dumps(example(type_)).encode())
    assert event.type == type_
    assert codec.decode_one(*codec.encode(event)) == event


@pytest.mark.parametrize("type_", OF_JSON)
def test_a_schema_refuses_an_event_whose_data_lacks_a_field_or_has_a_wrong_one(type_: str) -> None:
    required = validator(type_).schema["$defs"][validator(type_).schema["properties"]["data"]["$ref"][8:]]["required"]
    assert required
    for name in required:
        right = example(type_)["data"]
        for wrong in ({key: value for key, value in right.items() if key != name}, {**right, name: [True]}):
            assert not validator(type_).is_valid({**example(type_), "data": wrong}), name


@pytest.mark.parametrize("type_", TYPES)
def test_a_schema_refuses_another_event_and_one_without_an_id(type_: str) -> None:
    right = example(type_)
    assert not validator(type_).is_valid({**right, "type": "another"})
    assert not validator(type_).is_valid({key: value for key, value in right.items() if key != "id"})
    assert not validator(type_).is_valid({**right, "Not-A-Name": "x"})


@pytest.mark.parametrize("fact", catalogue.FACTS, ids=lambda fact: fact.__name__)
def test_the_example_of_a_fact_is_the_event_that_its_function_makes(fact: type[catalogue.Fact]) -> None:
    event = codec.from_json(json.dumps(example(fact.type)).encode())
    made = catalogue.announce(
        catalogue.read(event, fact), event.source.removeprefix("/facteur/"), event.attribute("traceparent")
    )
    assert (made.id, made.subject, made.source) == (event.id, event.subject, event.source)
    assert json.loads(made.data or b"") == json.loads(event.data or b"")
