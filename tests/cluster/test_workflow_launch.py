"""A delivery of the earlier system becomes an Argo Workflow, as that system made it, and exactly once."""

import json
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any
from uuid import UUID

from google.protobuf import json_format

from functions.codex_intake.deliveries import from_protobuf
from functions.codex_intake.orchestrate import Switches
from shared.domain.ids import resource_name, run_id
from shared.domain.token import ANONYMOUS
from shared.events.catalogue import TaskAccepted, announce
from shared.events.protobuf.proompteng.froussard.v1.codex_task_pb2 import CodexTask
from shared.postgres.tasks import PgTasks
from tests.cluster.launching import Launching, prepared
from tests.cluster.ticking import ticking
from tests.cluster.workflows import WorkflowController
from tests.component.conftest import Stage, tick, until

EXAMPLE = Path(__file__).parents[2] / "eventing" / "examples" / "codex-task.json"


def accept(dispatching: Launching, stage: Stage, **changes: Any) -> UUID:
    """The example task, as intake stores it while the orchestrator is on."""
    task = json_format.Parse(EXAMPLE.read_text(), CodexTask())
    for name, value in changes.items():
        setattr(task, name, value)
    switches = Switches(enabled=True, namespace=dispatching.cluster.workflows, service_account="codex-workflow")
    wanted = from_protobuf(task.SerializeToString(), ANONYMOUS, switches)
    event = announce(TaskAccepted(run_id(wanted.delivery_id)), "codex-intake", None)
    PgTasks(stage.database).accept(wanted, event, None)
    stage.clear_outbox()
    return run_id(wanted.delivery_id)


def workflows(dispatching: Launching) -> list[dict[str, Any]]:
    cluster = dispatching.cluster
    return cluster.api.list(cluster.path("workflows", namespace=cluster.workflows))


def parameters(workflow: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in workflow["spec"]["arguments"]["parameters"]}


def test_a_delivery_is_one_workflow_with_the_parameters_of_the_earlier_system(
    dispatching: Launching, stage: Stage
) -> None:
    task = accept(dispatching, stage)
    dispatching.start()
    for _ in range(3):
        dispatching.deliver(prepared(task))
    (workflow,) = workflows(dispatching)
    name = resource_name(task, 1, "github-codex-implementation-")
    metadata, spec = workflow["metadata"], workflow["spec"]
    assert metadata["name"] == name
    assert metadata["labels"]["codex.issue_number"] == "1635"
    assert metadata["annotations"]["codex.repository"] == "proompteng/lab"
    assert spec["workflowTemplateRef"] == {"name": "github-codex-implementation"}
    assert (spec["serviceAccountName"], "suspend" in spec) == ("codex-workflow", False)
    names = [each["name"] for each in spec["arguments"]["parameters"]]
    assert names == sorted(names)
    given = parameters(workflow)
    assert (given["base"], given["head"]) == ("main", "codex/issue-1635-ingestion")
    assert given["prompt"] == "Implement codex_kb ingestion wiring in Facteur"
    assert (given["implementation_iterations"], given["iteration_cycle"]) == ("1", "1")
    body, raw = (json.loads(b64decode(given[each], validate=True)) for each in ("eventBody", "rawEvent"))
    assert (body["stage"], raw["stage"]) == ("implementation", "CODEX_TASK_STAGE_IMPLEMENTATION")
    assert (body["issueNumber"], body["planCommentId"]) == ("1635", "123456789")
    assert "fct_1_" not in json.dumps(workflow)
    row = stage.database.one("SELECT argo_workflow_name, kubernetes_job_name FROM codex_kb.codex_tasks", {})
    assert row == {"argo_workflow_name": name, "kubernetes_job_name": None}


def test_an_autonomous_delivery_goes_to_the_autonomous_template(dispatching: Launching, stage: Stage) -> None:
    task = accept(dispatching, stage, autonomous=True)
    dispatching.start()
    dispatching.deliver(prepared(task))
    (workflow,) = workflows(dispatching)
    assert workflow["metadata"]["name"] == resource_name(task, 1, "codex-autonomous-")
    assert workflow["spec"]["workflowTemplateRef"] == {"name": "codex-autonomous"}
    assert (parameters(workflow)["repository"], parameters(workflow)["issue_number"]) == ("proompteng/lab", "1635")


def test_a_workflow_that_fails_ends_its_task_and_is_cleaned_up_later(
    dispatching: Launching, stage: Stage, tmp_path: Path
) -> None:
    cluster = dispatching.cluster
    container = {"image": "registry.invalid/x:1", "command": [sys.executable, "-c", "raise SystemExit(3)"]}
    template = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "github-codex-implementation"},
        "spec": {"entrypoint": "main", "templates": [{"name": "main", "container": container}]},
    }
    cluster.api.create(cluster.path("workflowtemplates", namespace=cluster.workflows), template)
    task = accept(dispatching, stage)
    dispatching.start()
    with (
        WorkflowController(cluster.api, cluster.workflows, tmp_path / "argo") as controller,
        ticking(controller.tick),
    ):
        dispatching.deliver(prepared(task))
        dispatching.tick_until(lambda: stage.status(task)[0] not in ("launching", "running"))
    status, reason = stage.status(task)
    assert (status, reason.startswith("the workflow failed: ")) == ("failed", True)
    dispatching.tick_until(lambda: workflows(dispatching)[0]["spec"].get("ttlStrategy"))


def test_a_workflow_is_canceled_with_its_secret(dispatching: Launching, stage: Stage) -> None:
    cluster = dispatching.cluster
    task = accept(dispatching, stage)
    dispatching.start()
    dispatching.deliver(prepared(task))
    assert len(workflows(dispatching)) == 1
    dispatching.deliver(dispatching.cancel(task))
    dispatching.deliver(tick())
    assert stage.status(task) == ("canceled", "canceled by alice")
    secrets = cluster.path("secrets", namespace=cluster.workflows)
    until(lambda: workflows(dispatching) == [] and cluster.api.list(secrets) == [])
