"""The six functions as Knative Services from our manifests: a task through a real Job to memory, from zero and back."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from shared.web.serve import FUNCTIONS
from tests.cluster.control_plane import say
from tests.e2e.system import System, until
from tests.e2e.target import read
from tests.knative.cluster.enforcement import enforced
from tests.knative.platform.cluster import Knative
from tests.knative.platform.service import Service
from tests.knative.platform.suites import passes
from tests.knative.platform.system import NAMESPACE, Deployed, deployed

# What the first test of a run installs takes longer than a test may otherwise.
pytestmark = pytest.mark.timeout(1200)
PATIENCE = 180


@pytest.fixture(scope="module")
def everything(eventing: Knative, serving: Knative) -> Iterator[Deployed]:
    with deployed(serving, say) as found:
        yield found


@pytest.fixture(scope="module")
def system(everything: Deployed) -> System:
    return System(read(everything.environment))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_healthy_behind_kourier(everything: Deployed, function: str) -> None:
    assert Service(everything.knative, function, NAMESPACE).get("/healthz")


def test_a_task_goes_through_a_real_job_to_memory(everything: Deployed, system: System) -> None:
    started = time.monotonic()
    answer = system.submit("Say what a valve is for.", f"system-{uuid4()}")
    assert answer.status == 202, answer.data
    task = answer.json()["taskId"]
    ended = system.ended(task)
    say(f"from the task to its outcome in memory: {time.monotonic() - started:.1f} s")
    assert ended["status"] == "succeeded"
    label = f"--selector=codex.proompteng.ai/task={task}"
    jobs = everything.knative.cluster.kubectl("get", "jobs", "--namespace=codex", label, "--output=name").split()
    assert len(jobs) == 1


def test_what_no_function_takes_becomes_a_dead_letter_in_the_database(everything: Deployed, system: System) -> None:
    """A task that is none: intake refuses it for good, and the broker gives it back as a dead letter."""
    event = f"poison-{uuid4()}"
    everything.knative.publish("ai.proompteng.codex.task.requested.v1", event, {"prompt": None})

    def kept() -> bool:
        with psycopg.connect(everything.servers.dsn) as connection:
            found = connection.execute("SELECT count(*) FROM codex_kb.dead_letters WHERE event_id = %s", [event])
            row = found.fetchone()
            return row is not None and row[0] == 1

    until(kept, f"the dead letter of {event}")


def test_functions_scale_to_zero_and_a_task_wakes_them(everything: Deployed, system: System) -> None:
    for function in ("memory-query", "codex-intake"):
        waited = Service(everything.knative, function, NAMESPACE).wait_for_zero(PATIENCE)
        say(f"{function} at zero after another {waited:.1f} s")
    started = time.monotonic()
    answer = system.submit("Wake up.", f"system-{uuid4()}")
    assert answer.status == 202, answer.data
    say(f"codex-intake took a task from zero in {time.monotonic() - started:.2f} s")
    assert system.ended(answer.json()["taskId"])["status"] == "succeeded"


def test_a_request_in_flight_is_finished_though_its_pod_is_deleted(everything: Deployed, system: System) -> None:
    """The timeline of a task, followed in one request until the task has ended."""
    answer = system.submit("Count.\nfacteur: sleep 10", f"system-{uuid4()}")
    path = f"/v1/codex/tasks/{answer.json()['taskId']}/timeline"
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {everything.servers.token}"}
    intake = Service(everything.knative, "codex-intake", NAMESPACE)
    with ThreadPoolExecutor(1) as pool:
        followed = pool.submit(intake.get, path, headers)
        time.sleep(2)
        for pod in intake.pods():
            everything.knative.cluster.kubectl("delete", "pod", pod, f"--namespace={NAMESPACE}", "--wait=false")
        assert "event: succeeded" in followed.result(PATIENCE)


def test_the_end_to_end_suite_passes_unchanged(everything: Deployed) -> None:
    assert passes("tests/e2e", everything.environment)


def test_a_task_goes_the_same_way_where_policies_are_enforced(
    everything: Deployed, system: System, tmp_path: Path
) -> None:
    """A task from zero to its end, with nothing allowed but what our NetworkPolicies allow."""
    with enforced(everything.knative.cluster, tmp_path / "policies.log", say):
        answer = system.submit("Say what a wall is for.", f"system-{uuid4()}")
        assert answer.status == 202, answer.data
        ended = system.ended(answer.json()["taskId"])
        assert (ended["status"], len(ended["artifacts"])) == ("succeeded", 1)
