"""What the orchestrator's switches make of a task."""

from typing import Any

import pytest

from functions.codex_intake.orchestrate import Switches, iterations
from functions.codex_intake.orchestrator_settings import OrchestratorSettings
from functions.codex_intake.settings import Settings
from shared.domain.errors import Unavailable
from shared.domain.task import Mode
from shared.settings import SettingsError, load
from tests.component.conftest import api_tokens

ENABLED = "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_ENABLED"
ALIAS = "FACTEUR_CODEX_ENABLE_IMPLEMENTATION_ORCHESTRATION"
REQUIRED = {
    "FACTEUR_POSTGRES_DSN": "postgresql://x",
    "K_SINK": "http://sink.test",
    "FACTEUR_TOKEN_SECRET": "x" * 32,
    "FACTEUR_API_TOKENS": api_tokens(),
    "FACTEUR_CALLBACK_URL": "http://callback.test",
    "FACTEUR_MEMORY_URL": "http://memory.test",
}


@pytest.mark.parametrize(
    ("mode", "count", "most", "repeated"),
    [
        ("", None, None, 1),
        ("", 3, None, 3),
        ("", 3, 9, 3),
        ("fixed", 7, None, 7),
        (" FIXED ", 7, 2, 7),
        ("fixed", None, 9, 1),
        ("fixed", 0, None, 1),
        ("fixed", -4, None, 1),
        ("fixed", 25, None, 25),
        ("fixed", 26, None, 25),
        ("fixed", 2**31 - 1, None, 25),
        ("until", None, 8, 8),
        ("until", 3, 8, 8),
        ("Until", 3, None, 3),
        ("until", None, None, 1),
        ("until", 3, 1000, 25),
        ("until", None, -1, 1),
        ("budget", 5, 5, 1),
        ("adaptive", 5, 5, 1),
        ("fixed\x00", 5, 5, 1),
    ],
)
def test_an_implementation_is_repeated_as_its_policy_says(
    mode: str, count: int | None, most: int | None, repeated: int
) -> None:
    assert iterations(mode, count, most) == repeated


@pytest.mark.parametrize(
    ("enabled", "launching", "mode"),
    [(None, True, Mode.DIRECT), (True, True, Mode.ARGO), (None, False, Mode.DIRECT), (True, False, Mode.ARGO)],
)
def test_the_switch_says_what_a_delivery_becomes(enabled: bool | None, launching: bool, mode: Mode) -> None:
    assert Switches(enabled=enabled, launching=launching).mode() is mode


def test_switched_off_nothing_is_taken_unless_nothing_is_launched_anyway() -> None:
    with pytest.raises(Unavailable, match=r"^implementation orchestrator disabled$"):
        Switches(enabled=False).mode()
    assert Switches(enabled=False, launching=False).mode() is Mode.DIRECT


def test_a_workflow_gets_what_the_task_says_over_what_is_configured() -> None:
    switches = Switches(
        namespace="ns",
        workflow_template="tmpl",
        service_account="runner",
        parameters={"head": "no", "base": "no", "rawEvent": ""},
        judge_prompt="be fair",
    )
    assert switches.workflow("o/r", 7, "", "feature", repeat=3, cycle=2) == {
        "namespace": "ns",
        "workflowTemplate": "tmpl",
        "namePrefix": "github-codex-implementation-",
        "serviceAccount": "runner",
        "autonomous": False,
        "parameters": {
            "rawEvent": "",
            "judge_prompt": "be fair",
            "head": "feature",
            "base": "main",
            "repository": "o/r",
            "issue_number": "7",
            "implementation_iterations": "3",
            "iteration_cycle": "2",
        },
    }


def test_an_autonomous_task_has_a_template_and_a_name_of_its_own() -> None:
    workflow = Switches().workflow("o/r", 7, "main", "h", autonomous=True)
    assert (workflow["workflowTemplate"], workflow["namePrefix"]) == ("codex-autonomous", "codex-autonomous-")
    assert workflow["autonomous"] is True
    assert "judge_prompt" not in workflow["parameters"]


@pytest.mark.parametrize(
    ("env", "enabled"),
    [
        ({}, None),
        ({ENABLED: ""}, None),
        ({ENABLED: "true"}, True),
        ({ENABLED: "false"}, False),
        ({ALIAS: "true"}, True),
        ({ALIAS: "false"}, False),
        ({ALIAS: "true", ENABLED: "true"}, True),
    ],
)
def test_the_switch_has_two_names(env: dict[str, str], enabled: bool | None) -> None:
    assert load(Settings, REQUIRED | env).switches.enabled is enabled


def test_two_names_that_disagree_are_a_mistake() -> None:
    with pytest.raises(SettingsError, match=ALIAS):
        load(OrchestratorSettings, {ALIAS: "true", ENABLED: "false"})


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, ("argo-workflows", "github-codex-implementation", "")),
        ({"NAMESPACE": "a", "WORKFLOW_TEMPLATE": "b", "SERVICE_ACCOUNT": "c"}, ("a", "b", "c")),
    ],
)
def test_what_is_not_set_for_the_orchestrator_is_what_is_set_for_every_workflow(
    env: dict[str, str], expected: Any
) -> None:
    general = {f"FACTEUR_ARGO_{name}": value for name, value in env.items()}
    own = {f"FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_{name}": value for name, value in env.items()}
    others = {f"FACTEUR_ARGO_{name}": "other" for name in env}
    for given in (general, own, others | own):
        switches = load(Settings, REQUIRED | given).switches
        assert (switches.namespace, switches.workflow_template, switches.service_account) == expected


def test_parameters_of_the_orchestrator_go_over_the_general_ones() -> None:
    env = {
        "FACTEUR_ARGO_PARAMETERS": '{"a": "1", "b": "1"}',
        "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_PARAMETERS": '{"b": "2"}',
    }
    assert load(Settings, REQUIRED | env).switches.parameters == {"a": "1", "b": "2"}
