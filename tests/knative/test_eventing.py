"""Our broker, triggers and sources on a real Knative Eventing; the functions are played by this process."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.cluster.control_plane import say
from tests.knative.platform.cluster import Knative
from tests.knative.platform.recorder import Delivery, Recorder
from tests.knative.platform.stand_ins import stand_in

# What the first test of a run installs takes longer than a test may otherwise.
pytestmark = pytest.mark.timeout(1200)
ACCEPTED = "ai.proompteng.codex.task.accepted.v1"
REQUESTED = "ai.proompteng.codex.task.requested.v1"
TICK = "dev.knative.sources.ping"
POISON = "poison"


@pytest.fixture(scope="module")
def functions(eventing: Knative) -> Iterator[Recorder]:
    """Everything in `eventing/`, and one server that is all subscribers: it refuses what is named POISON."""

    def answer(delivery: Delivery) -> int:
        refused = POISON in delivery.headers.get("ce-id", "") and delivery.path != "/dead-letters"
        return 400 if refused else 202

    with Recorder(eventing.host_address, answer) as recorder, eventing.manifests() as namespace:
        stand_in(eventing.cluster, namespace, recorder.url)
        eventing.apply_folder("tests/knative/platform/eventing")
        yield recorder


def test_our_broker_triggers_and_sources_become_ready(eventing: Knative, functions: Recorder) -> None:
    kinds = ("brokers", "triggers", "pingsources", "apiserversources")
    for kind in kinds:
        eventing.wait_ready(kind, "facteur")
        names = eventing.cluster.kubectl("get", kind, "--namespace=facteur", "--output=name").split()
        assert names, f"there are no {kind}"
        say(f"Ready: {len(names)} {kind}")


def test_an_event_reaches_the_subscribers_of_its_triggers_and_nobody_else(
    eventing: Knative, functions: Recorder
) -> None:
    event = _publish(eventing, ACCEPTED)
    found = functions.wait(lambda each: each.headers.get("ce-id") == event, 2, 30)
    assert sorted(each.path for each in found) == ["/discord-interaction", "/embedder"]
    assert json.loads(found[0].body) == {"said": event}


def test_what_is_refused_becomes_a_dead_letter_that_says_why(eventing: Knative, functions: Recorder) -> None:
    event = _publish(eventing, REQUESTED, POISON)
    (letter,) = functions.wait(lambda each: _of(each, event) and each.path == "/dead-letters", 1, 30)
    assert letter.headers["ce-knativeerrorcode"] == "400"
    assert letter.headers["ce-knativeerrordest"].endswith("/codex-intake")
    tried = functions.wait(lambda each: _of(each, event) and each.path == "/codex-intake", 2, 2)
    assert len(tried) == 1, "what is refused is never sent again"


def test_a_changed_job_is_told_to_the_dispatcher(eventing: Knative, functions: Recorder) -> None:
    name = f"changed-{uuid4().hex[:8]}"
    eventing.apply([_job(name)])
    (told, *_) = functions.wait(lambda each: each.path == "/dispatcher" and name in each.body.decode(), 1, 30)
    assert told.type.startswith("dev.knative.apiserver.ref.")
    eventing.cluster.kubectl("delete", "job", name, "--namespace=codex", "--wait=false")


def test_the_tick_comes_every_minute(eventing: Knative, functions: Recorder) -> None:
    ticks = functions.wait(lambda each: each.type == TICK, 4, 90)
    assert {each.path for each in ticks} >= {"/callback", "/dispatcher", "/embedder"}


def _publish(eventing: Knative, kind: str, prefix: str = "event") -> str:
    event = f"{prefix}-{uuid4()}"
    eventing.publish(kind, event, {"said": event})
    return event


def _of(delivery: Delivery, event: str) -> bool:
    return delivery.headers.get("ce-id") == event


def _job(name: str) -> dict[str, object]:
    """A Job of ours that never starts."""
    labels = {"app.kubernetes.io/managed-by": "facteur"}
    container = {"name": "none", "image": "img.invalid/none:0"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "codex", "labels": labels},
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }
