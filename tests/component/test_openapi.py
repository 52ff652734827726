"""codex-intake keeps the promises of its OpenAPI document. `make fuzz-api` asks for longer."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.component.conftest import Stage
from tests.component.functions import HTTP, Function, Sink, authorised, running, settings
from tests.fuzz.api import ROOT, fuzz

# How fast examples are made is the machine's.
STEADY = ("--generation-deterministic", "--max-examples", "8", "--suppress-health-check", "too_slow")


@pytest.fixture(scope="module")
def intake(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    with running("codex-intake", settings(stage.dsn, module_sink.url, folder), folder / "log") as function:
        yield function


def test_the_document_is_served_to_everybody(intake: Function) -> None:
    answer = intake.get("/openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.data == (ROOT / "docs" / "openapi.json").read_bytes()


@pytest.mark.timeout(300)
def test_every_valid_request_is_accepted_and_every_other_one_refused(intake: Function) -> None:
    done = fuzz(f"{intake.url}/openapi.json", STEADY, capture=True)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert passed and passed[1] == passed[2] and int(passed[1]) > 300
    assert "API Links:" in done.stdout


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        (("components", "schemas", "Health", "properties", "status"), {"const": "other"}, "Response violates schema"),
        (("paths", "/healthz", "get", "security"), [{"token": []}], "auth"),
        (("paths", "/healthz", "get", "responses", "200", "content"), {"text/plain": {}}, "Content-Type"),
    ],
)
def test_a_promise_that_is_broken_is_found(
    intake: Function, tmp_path: Path, path: tuple[str, ...], value: object, found: str
) -> None:
    document = json.loads(intake.get("/openapi.json").data)
    place = document
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    only = ("--url", intake.url, "--include-operation-id", "isAlive", "--phases", "coverage,fuzzing")
    done = fuzz(str(tmp_path / "openapi.json"), [*STEADY, *only], capture=True)
    assert done.returncode == 1
    assert found in done.stdout


@pytest.mark.parametrize("path", ["/v1/codex/tasks/x%0A", "/%0A", "/robots.txt", "/nothing"])
def test_a_path_that_leads_nowhere_is_told_as_every_other_problem(intake: Function, path: str) -> None:
    answer = HTTP.request("GET", intake.url + path, headers=authorised())
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert json.loads(answer.data)["type"] == "urn:facteur:problem:notfound"
