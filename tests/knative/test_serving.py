"""Knative Serving and Kourier with a plain server: what a function may rely on before it is one of ours."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cluster.control_plane import say
from tests.e2e.system import until
from tests.knative.platform.cluster import Knative
from tests.knative.platform.function_images import plain_image
from tests.knative.platform.service import Service

# What the first test of a run installs takes longer than a test may otherwise.
pytestmark = pytest.mark.timeout(1200)
PATIENCE = 120


@pytest.fixture(scope="module")
def plain(serving: Knative) -> Iterator[Service]:
    """A Knative Service in a namespace of its own, Ready."""
    with plain_image(serving.cluster.base) as (name, tar):
        serving.cluster.import_image(tar)
    service = Service(serving, "plain", "plain")
    serving.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "plain"}}])
    started = time.monotonic()
    serving.apply([service.manifest(name)])
    serving.wait_ready("services.serving.knative.dev", "plain")
    say(f"a plain Service is Ready {time.monotonic() - started:.1f} s after it was applied")
    yield service
    serving.cluster.kubectl("delete", "namespace", "plain", "--wait=false")


def test_a_service_answers_through_kourier(plain: Service) -> None:
    assert plain.get("/").startswith("plain-")


def test_it_scales_to_zero_and_answers_from_there(plain: Service) -> None:
    waited = plain.wait_for_zero(PATIENCE)
    started = time.monotonic()
    assert plain.get("/").startswith("plain-")
    say(f"scaled to zero {waited:.1f} s after the last look; answered from zero in {time.monotonic() - started:.2f} s")


def test_a_request_in_flight_is_finished_when_its_pod_is_deleted(plain: Service) -> None:
    plain.get("/")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(plain.get, "/?seconds=8")
        time.sleep(2)
        (pod,) = plain.pods()
        plain.knative.cluster.kubectl("delete", "pod", pod, "--namespace=plain", "--wait=false")
        assert answer.result(60) == f"{pod}\nend\n"


def test_requests_in_flight_are_finished_when_the_autoscaler_takes_their_pod_away(plain: Service) -> None:
    """Two pods, and then so little to do that one is enough: what either has begun to say it says to its end."""
    plain.keep_at_least(2)
    pods: set[str] = set()

    def either_answers() -> bool:
        pods.add(plain.get("/").splitlines()[0])
        return len(pods) == 2

    until(either_answers, "an answer of either pod", PATIENCE)
    begun = [plain.begin("/?seconds=40") for _ in range(8)]
    asked = time.monotonic()
    assert {answer.readline().decode().strip() for answer in begun} == pods
    plain.keep_at_least(0)
    until(lambda: not pods.isdisjoint(plain.ending_pods()), "the autoscaler takes a pod away", PATIENCE)
    assert time.monotonic() < asked + 40, "the pod had nothing left to say"
    assert [answer.read() for answer in begun] == [b"end\n"] * len(begun)
