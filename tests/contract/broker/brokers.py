"""The brokers that keep the contract: the twin's own, and Knative's where the environment names a cluster."""

import http.client
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self
from urllib.parse import urlsplit

import yaml

from tests.integration.broker.actors import BrokerProcess, Delivery, Reply, Subscriber, reference, start_all

_COMPONENT = Path(__file__).parents[3] / "eventing" / "components" / "in-memory"
_READY_SECONDS = 90
_NAME = "facteur"

Answer = Callable[[Delivery, int], Reply]


class Wanted(NamedTuple):
    """One trigger: events of `type` go to `subscriber`, and to `letters` when all attempts have failed."""

    type: str
    subscriber: Subscriber
    letters: Subscriber
    delivery: Mapping[str, Any]


class Broker(Protocol):
    """A broker under test. What it is asked for is gone when the test is over."""

    def subscriber(self, answer: Answer | None = None) -> Subscriber:
        """An HTTP server that the broker can reach."""
        ...

    def start(self, *wanted: Wanted) -> None:
        """Returns when events will reach the subscribers."""
        ...

    def post(self, headers: Mapping[str, str], body: bytes = b"") -> int:
        """The status of the broker's answer to one POST."""
        ...


class LocalBroker:
    """The twin's broker, in a process of its own."""

    def __init__(self, folder: Path, redis: str, undo: ExitStack) -> None:
        self._folder = folder
        self._redis = redis
        self._undo = undo
        self._process: BrokerProcess | None = None

    def subscriber(self, answer: Answer | None = None) -> Subscriber:
        return self._undo.enter_context(closing(Subscriber(answer) if answer else Subscriber()))

    def start(self, *wanted: Wanted) -> None:
        ends: dict[str, Subscriber] = {}

        def end(subscriber: Subscriber) -> dict[str, Any]:
            name = f"end-{urlsplit(subscriber.url).port}"
            ends[name] = subscriber
            return reference(name)

        triggers = [_trigger(f"t{number}", _NAME, each, end) for number, each in enumerate(wanted)]
        broker = {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"name": _NAME}}
        self._process = start_all(self._folder, self._redis, [broker, *triggers], ends)
        self._undo.callback(self._process.kill)

    def post(self, headers: Mapping[str, str], body: bytes = b"") -> int:
        assert self._process is not None
        return self._process.request("POST", "/", headers, body)[0]


class Namespace:
    """A namespace for Knative's brokers on the in-memory channel, as our component makes them; gone after the `with`.

    FACTEUR_TEST_KNATIVE_KUBECONFIG names the cluster, FACTEUR_TEST_HOST_ADDRESS the address at which its pods reach
    this machine, FACTEUR_TEST_BROKER_INGRESS the URL at which this machine reaches the broker's ingress.
    """

    def __init__(self) -> None:
        self.name = f"facteur-broker-{uuid.uuid4().hex[:8]}"
        self.host = os.environ["FACTEUR_TEST_HOST_ADDRESS"]
        self.ingress = urlsplit(os.environ["FACTEUR_TEST_BROKER_INGRESS"])

    def __enter__(self) -> Self:
        self.kubectl("create", "namespace", self.name)
        self.kubectl("apply", "-f", str(_COMPONENT / "config.yaml"))
        return self

    def __exit__(self, *_: object) -> None:
        self.kubectl("delete", "namespace", self.name, "--wait=false")

    def kubectl(self, *arguments: str, said: str | None = None) -> None:
        program = os.environ.get("FACTEUR_TEST_KUBECTL") or shutil.which("kubectl") or "kubectl"
        where = ["--kubeconfig", os.environ["FACTEUR_TEST_KNATIVE_KUBECONFIG"], "--namespace", self.name]
        done = subprocess.run([program, *where, *arguments], input=said, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"


class KnativeBroker:
    """A broker of one test, whose triggers come one after another.

    Every subscription rewrites the channel's whole list of subscribers, from a copy that may be old: of two that come
    or go at once one may be left out for a moment. Its trigger is Ready all the same, and what is published in that
    moment never reaches it.
    """

    def __init__(self, namespace: Namespace, undo: ExitStack) -> None:
        self._namespace = namespace
        self._undo = undo
        self._name = f"b{uuid.uuid4().hex[:8]}"
        broker = yaml.safe_load((_COMPONENT / "broker.yaml").read_text(encoding="utf-8"))
        broker["metadata"]["name"] = self._name
        namespace.kubectl("apply", "-f", "-", said=json.dumps(broker))
        undo.callback(namespace.kubectl, "delete", f"broker/{self._name}", "--wait=false")

    def subscriber(self, answer: Answer | None = None) -> Subscriber:
        host = self._namespace.host
        made = Subscriber(answer, host) if answer else Subscriber(host=host)
        return self._undo.enter_context(closing(made))

    def start(self, *wanted: Wanted) -> None:
        for number, each in enumerate(wanted):
            name = f"{self._name}-{number}"
            self._undo.callback(self._namespace.kubectl, "delete", f"trigger/{name}", "--wait=false")
            self._namespace.kubectl("apply", "-f", "-", said=json.dumps(_trigger(name, self._name, each, _uri)))
            ready = ["--for=condition=Ready", f"--timeout={_READY_SECONDS}s"]
            self._namespace.kubectl("wait", *ready, f"trigger/{name}")

    def post(self, headers: Mapping[str, str], body: bytes = b"") -> int:
        ingress = self._namespace.ingress
        with closing(http.client.HTTPConnection(str(ingress.hostname), ingress.port or 80, timeout=20)) as connection:
            connection.request("POST", f"/{self._namespace.name}/{self._name}", body, dict(headers))
            return connection.getresponse().status


def _uri(subscriber: Subscriber) -> dict[str, Any]:
    return {"uri": f"{subscriber.url}/"}


def _trigger(name: str, broker: str, wanted: Wanted, end: Callable[[Subscriber], dict[str, Any]]) -> dict[str, Any]:
    spec = {
        "broker": broker,
        "filter": {"attributes": {"type": wanted.type}},
        "subscriber": end(wanted.subscriber),
        "delivery": {**wanted.delivery, "deadLetterSink": end(wanted.letters)},
    }
    return {"apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "metadata": {"name": name}, "spec": spec}
