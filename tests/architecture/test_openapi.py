"""The OpenAPI document says what is served, and `docs/openapi.json` is that document."""

import json
import re
import tomllib
from http import HTTPStatus
from typing import Any

import pytest
from openapi_spec_validator import validate

from functions.codex_intake.openapi import document
from functions.codex_intake.operations import OPERATIONS
from functions.codex_intake.producers import TaskBody
from shared.domain.errors import Rejected
from shared.domain.task import MAX_PROMPT_CHARACTERS, TaskRequest
from tests.architecture.data_sheet import shape
from tests.architecture.loaded import loaded
from tests.architecture.tree import ROOT, text

DOCUMENT: dict[str, Any] = json.loads(document())
OF_THE_BROKER = {"POST /dead-letters"}
OF_EVERY_FUNCTION = {"GET /healthz", "GET /readyz"}


def test_the_document_is_generated_from_what_is_here() -> None:
    assert text("docs/openapi.json").encode() == document(), "run: make openapi"


def test_the_document_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    validate(DOCUMENT)


def test_the_version_is_that_of_the_package() -> None:
    assert DOCUMENT["info"]["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_every_route_is_in_the_document_and_the_other_way_round() -> None:
    told = {shape(f"{method.upper()} {path}") for path, item in DOCUMENT["paths"].items() for method in item}
    assert told == loaded("codex_intake").routes - OF_THE_BROKER | OF_EVERY_FUNCTION


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.route)
def test_an_operation_tells_its_scope_and_every_error_as_a_problem(operation: Any) -> None:
    method, path = operation.route.split(" ")
    told = DOCUMENT["paths"][path][method.lower()]
    assert told["security"] == ([{"token": [operation.scope]}] if operation.scope else [])
    errors = {int(status): answer for status, answer in told["responses"].items() if int(status) >= 400}
    assert errors.keys() >= ({401, 403, 405, 429, 503} if operation.scope else {405, 503})
    assert bool(operation.body) <= (errors.keys() >= {400, 413, 415, 422})
    for status, answer in errors.items():
        assert answer == {"$ref": f"#/components/responses/{status}"}
    assert set(told["responses"]) - {str(status.value) for status in HTTPStatus} == set()


def test_links_lead_to_operations_and_their_parameters() -> None:
    names = {operation.name: operation.route for operation in OPERATIONS}
    links = [link for operation in OPERATIONS for answer in operation.answers.values() for link in answer.links.items()]
    assert links
    for name, parameters in links:
        assert set(re.findall(r"{(\w+)}", names[name])) == set(parameters)


def _accepts(prompt: str) -> bool:
    try:
        TaskRequest("d", "http", "d", "tests", prompt, {}, b"")
    except Rejected:
        return False
    return True


def test_the_pattern_of_a_prompt_allows_what_is_accepted() -> None:
    """But U+0000, which `parse_json` refuses in every text."""
    prompt = DOCUMENT["components"]["schemas"]["TaskBody"]["properties"]["prompt"]
    pattern = re.compile(prompt["pattern"])
    assert (prompt["minLength"], prompt["maxLength"]) == (1, MAX_PROMPT_CHARACTERS)
    assert _accepts("x" * MAX_PROMPT_CHARACTERS) and not _accepts("x" * (MAX_PROMPT_CHARACTERS + 1))
    everything = [chr(code) for code in range(1, 0x20000)]
    assert [each for each in everything if (pattern.search(each) is not None) != _accepts(each)] == []
    for text_ in ("", " \n", " x\n ", "\n\tx y", "x"):
        assert (pattern.search(text_) is not None) == _accepts(text_)
    assert not any(pattern.search(text_) for text_ in ("\0", "x\0", " \0x", "x y\n\0 z"))


def test_the_defaults_that_are_told_are_those_that_hold() -> None:
    properties = DOCUMENT["components"]["schemas"]["TaskBody"]["properties"]
    task = TaskBody("x")
    told = {name: schema["default"] for name, schema in properties.items() if "default" in schema}
    assert told["deadlineSeconds"] == task.deadline_seconds
    assert (told["stage"], told["mode"]) == (task.stage.value, task.mode.value)
    assert told.keys() == properties.keys() - {"prompt"}
