"""The workflows of GitHub run what is there: targets of the Makefile, every image, the version that is pinned."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.kustomizations import make_secrets
from tests.architecture.tree import FUNCTIONS, ROOT, kebab, targets
from tests.e2e.target import BASE_URL, HOST_SUFFIX, TOKEN, VARIABLES

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Knative 1.0 was v0.27 of its modules.
ONE = 27


def jobs(workflow: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return found


def steps(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(workflow).values() for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_makes_only_what_can_be_made(workflow: Path) -> None:
    lines = [line for step in steps(workflow) for line in step.get("run", "").splitlines()]
    named = [re.match(r"\s*make((?: [a-z0-9-]+)+)", line) for line in lines]
    assert {name for found in named if found for name in found[1].split()} <= targets()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_few_rights_a_limit_of_time_and_actions_of_a_version(workflow: Path) -> None:
    assert yaml.safe_load(workflow.read_text(encoding="utf-8"))["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 60 for job in jobs(workflow).values())
    actions = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert actions
    assert [action for action in actions if not re.fullmatch(r"[\w-]+/[\w./-]+@(v\d+|[0-9a-f]{40})", action)] == []


def test_every_check_of_the_project_is_made_somewhere() -> None:
    said = "\n".join(workflow.read_text(encoding="utf-8") for workflow in WORKFLOWS)
    for target in ("demo", "check", "test-cluster", "test-codex", "test-images", "test-e2e"):
        assert re.search(rf"make .*\b{target}\b", said), target


def test_a_release_has_every_image() -> None:
    (release,) = [path for path in WORKFLOWS if path.stem == "release"]
    assert set(jobs(release)["images"]["strategy"]["matrix"]["image"]) == {*map(kebab, FUNCTIONS), "migrate", "runner"}


def test_knative_of_kind_is_the_one_whose_definitions_the_tests_pin() -> None:
    (cluster,) = [path for path in WORKFLOWS if path.stem == "cluster"]
    pinned = (ROOT / "tests" / "cluster" / "crds" / "go.mod").read_text(encoding="utf-8")
    for module in ("eventing", "serving"):
        minor = re.search(rf"knative\.dev/{module} v0\.(\d+)\.", pinned)
        assert minor
        assert jobs(cluster)["kind"]["env"]["KNATIVE"].startswith(f"knative-v1.{int(minor[1]) - ONE}.")


def test_a_workflow_reads_secrets_that_are_made() -> None:
    made = make_secrets().contents("prefer", {})
    said = "\n".join(step.get("run", "") for workflow in WORKFLOWS for step in steps(workflow))
    assert set(re.findall(r"get secret (\S+)", said)) == {'"$1"'}, "one function asks for all of them"
    named = re.findall(r"\$\(secret (\S+) ([\w-]+)", said)
    assert ("facteur-secrets", "first-caller-token") in named
    assert [(name, key) for name, key in named if key not in made.get(name, {})] == []


def test_the_suite_is_told_nothing_that_it_does_not_read() -> None:
    said = "\n".join(step.get("run", "") for workflow in WORKFLOWS for step in steps(workflow))
    told = set(re.findall(r"(FACTEUR_E2E_\w+)=", said))
    assert {BASE_URL, TOKEN, HOST_SUFFIX} <= told <= set(VARIABLES)


def test_a_reader_of_the_instructions_has_the_kind_of_the_workflow_or_a_newer_one() -> None:
    (cluster,) = [path for path in WORKFLOWS if path.stem == "cluster"]
    (kind,) = [step["with"] for step in jobs(cluster)["kind"]["steps"] if "kind-action" in step.get("uses", "")]
    minor = re.fullmatch(r"v(0\.\d+)\.\d+", kind["version"])
    assert minor
    assert f"(https://kind.sigs.k8s.io) {minor[1]} or newer" in (ROOT / "docs" / "install.md").read_text("utf-8")
    assert kind["node_image"] == f"kindest/node:{kind['kubectl_version']}"
