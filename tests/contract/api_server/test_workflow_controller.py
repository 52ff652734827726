"""The stand-in of Argo's controller: Workflows as processes."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.ticking import ticking
from tests.cluster.workflows import COMPLETED, PHASE, WorkflowController
from tests.contract.api_server.space import Object, Space, eventually

CHECK = """
import os, sys
assert open(os.environ["PROMPT_FILE"]).read() == "do it"
assert os.environ["REPOSITORY"] == 'the "quoted" one' and sys.argv[1:] == ["main", "flow"], sys.argv
"""
CODE = "import os; exec(os.environ['CODE'])"


@pytest.fixture
def controller(space: Space, tmp_path: Path) -> Iterator[WorkflowController]:
    folder = tmp_path / "argo"
    with WorkflowController(space.api, space.namespace, folder) as made, ticking(made.tick, seconds=0.03):
        yield made


@pytest.fixture
def template(space: Space) -> str:
    """A WorkflowTemplate as a platform team would have it."""
    env = [
        {"name": "PROMPT_FILE", "value": "/var/run/task/PROMPT"},
        {"name": "REPOSITORY", "value": "{{workflow.parameters.repository}}"},
        {"name": "CODE", "value": "{{workflow.parameters.code}}"},
    ]
    container = {"image": "agent:1", "command": [sys.executable, "-c"], "env": env}
    container["args"] = [CODE, "{{inputs.parameters.branch}}", "{{workflow.name}}"]
    container["volumeMounts"] = [{"name": "task", "mountPath": "/var/run/task"}]
    inputs = {"parameters": [{"name": "branch", "default": "main"}]}
    defaults = [{"name": "repository", "value": "none"}, {"name": "secret"}, {"name": "code", "value": "pass"}]
    spec = {
        "entrypoint": "agent",
        "arguments": {"parameters": defaults},
        "volumes": [{"name": "task", "secret": {"secretName": "{{workflow.parameters.secret}}"}}],
        "templates": [{"name": "agent", "inputs": inputs, "container": container}],
    }
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": {"name": "agents"}}
    space.api.create(space.path("argoproj.io/v1alpha1/workflowtemplates"), body | {"spec": spec})
    return "agents"


def _flow(space: Space, template: str, code: str = "pass", name: str = "flow", **spec: Any) -> Object:
    given = {"code": code, "secret": "note", "repository": 'the "quoted" one'}
    parameters = [{"name": key, "value": value} for key, value in given.items()]
    reference = {"workflowTemplateRef": {"name": template}, "arguments": {"parameters": parameters}}
    return space.workflow(name, **reference, **spec)


def _found(space: Space, name: str = "flow") -> Object:
    found = space.api.get(f"{space.workflows}/{name}")
    assert found
    return found


def _ended(space: Space, name: str = "flow") -> Object:
    def look() -> Object:
        found = _found(space, name)
        return found if found["metadata"].get("labels", {}).get(COMPLETED) == "true" else {}

    return eventually(look, f"{name} has ended")


def test_a_workflow_runs_what_its_template_says(space: Space, controller: WorkflowController, template: str) -> None:
    space.secret()
    _flow(space, template, CHECK)
    flow = _ended(space)
    assert flow["status"]["phase"] == flow["metadata"]["labels"][PHASE] == "Succeeded", controller.log(flow)
    assert flow["status"]["startedAt"] <= flow["status"]["finishedAt"]
    assert "message" not in flow["status"]


def test_a_workflow_that_fails_says_how(space: Space, controller: WorkflowController, template: str) -> None:
    space.secret()
    _flow(space, template, "raise SystemExit(3)")
    status = _ended(space)["status"]
    assert (status["phase"], status["message"]) == ("Failed", "main: Error (exit code 3)")


def test_a_workflow_without_its_template_is_an_error(space: Space, controller: WorkflowController) -> None:
    _flow(space, "nowhere", suspend=True)
    status = _ended(space)["status"]
    assert (status["phase"], status["message"]) == ("Error", 'workflowtemplate.argoproj.io "nowhere" not found')


def test_a_parameter_that_is_missing_fails(space: Space, controller: WorkflowController, template: str) -> None:
    space.workflow(workflowTemplateRef={"name": template})
    status = _ended(space)["status"]
    assert status["phase"] == "Failed" and status["message"].startswith("invalid spec: ")


def test_a_suspended_workflow_is_said_to_run_and_runs_nothing(
    space: Space, controller: WorkflowController, template: str
) -> None:
    space.secret()
    flow = _flow(space, template, "print('up')", suspend=True)
    eventually(lambda: _found(space).get("status", {}).get("phase") == "Running", "it was seen")
    assert controller.log(flow) == ""
    space.api.merge(f"{space.workflows}/flow", {"spec": {"suspend": None}})
    assert _ended(space)["status"]["phase"] == "Succeeded"
    assert controller.log(flow) == "up\n"


def test_a_workflow_waits_for_its_secret(space: Space, controller: WorkflowController, template: str) -> None:
    _flow(space, template)
    eventually(lambda: _found(space).get("status", {}).get("phase") == "Running", "it was seen")
    space.secret()
    assert _ended(space)["status"]["phase"] == "Succeeded"


SLEEP = "import time; print('up', flush=True); time.sleep(60)"


def test_a_workflow_past_its_deadline_fails(space: Space, controller: WorkflowController, template: str) -> None:
    space.secret()
    _flow(space, template, SLEEP, activeDeadlineSeconds=1)
    status = _ended(space)["status"]
    assert (status["phase"], status["message"]) == ("Failed", "Step exceeded its deadline")


@pytest.mark.parametrize("strategy", ["Terminate", "Stop"])
def test_a_workflow_can_be_shut_down(
    space: Space, controller: WorkflowController, template: str, strategy: str
) -> None:
    space.secret()
    flow = _flow(space, template, SLEEP)
    eventually(lambda: controller.log(flow) == "up\n", "it runs")
    space.api.merge(f"{space.workflows}/flow", {"spec": {"shutdown": strategy}})
    status = _ended(space)["status"]
    assert (status["phase"], status["message"]) == ("Failed", f"Stopped with strategy '{strategy}'")


def test_a_workflow_that_is_deleted_is_ended(space: Space, controller: WorkflowController, template: str) -> None:
    space.secret()
    code = "import time\nwhile True: print('up', flush=True); time.sleep(0.05)"
    flow = _flow(space, template, code)
    eventually(lambda: controller.log(flow), "it runs")
    space.api.delete(f"{space.workflows}/flow", {"propagationPolicy": "Foreground"})
    space.gone(f"{space.workflows}/flow")

    def quiet() -> bool:
        before = controller.log(flow)
        time.sleep(0.2)
        return controller.log(flow) == before

    eventually(quiet, "it is silent")
