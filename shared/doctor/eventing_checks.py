"""Events in a cluster: broker, triggers, sources, and what becomes of what nobody can handle."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.doctor.checks import Found, NotLooked, check
from shared.doctor.cluster import APPLY, Cluster, broker_class, name, not_ready, references, spec
from shared.domain.cluster import Object
from shared.events.catalogue import KAFKA_RECORD, PING, WORDS

_BROKER = "facteur"
_TRIGGERS = "kubectl apply -k eventing -n {}"
_LETTERS = (
    "deadLetterSink: {ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: codex-intake}, uri: /dead-letters}"
)
_FROM_JOBS = "dev.knative.apiserver."
_KAFKA = "Kafka"


def _delivery(cluster: Cluster, trigger: Object) -> Mapping[str, Any]:
    """What holds for a trigger: its own delivery, or else the broker's.

    A broker of Kafka puts both together. The others take the dead letter sink alone from beside a delivery of its own.
    """
    broker = cluster.named("Broker", str(spec(trigger, "broker"))) or {}
    shared, own = spec(broker, "delivery") or {}, spec(trigger, "delivery")
    if own is None:
        return shared
    kept = shared if _of_kafka(cluster, trigger) else {"deadLetterSink": shared.get("deadLetterSink")}
    return {**kept, **{field: value for field, value in own.items() if value}}


def _of_kafka(cluster: Cluster, trigger: Object) -> bool:
    broker = cluster.named("Broker", str(spec(trigger, "broker")))
    return broker is not None and broker_class(broker) == _KAFKA


@check("broker-missing", "cluster", why="No event reaches anybody; they pile up in the outbox.")
def broker_missing(cluster: Cluster) -> Iterator[Found]:
    if not cluster.all("Broker"):
        yield Found(f"there is no Broker in namespace {cluster.namespace}", _TRIGGERS.format(cluster.namespace))


@check("eventing-not-ready", "cluster", why="Its events are not delivered, or not made.")
def eventing_not_ready(cluster: Cluster) -> Iterator[Found]:
    for kind in ("Broker", "Trigger", "PingSource", "ApiServerSource", "SinkBinding", "KafkaSource"):
        for each in cluster.some(kind):
            if why := not_ready(each):
                yield Found(
                    f"the {kind} {name(each)} is not ready ({why})",
                    f"kubectl describe {kind.lower()} {name(each)} -n {cluster.namespace}",
                )


@check("trigger-without-broker", "cluster", why="It brings nothing to its subscriber.")
def trigger_without_broker(cluster: Cluster) -> Iterator[Found]:
    there = {name(each) for each in cluster.all("Broker")}
    for each in cluster.all("Trigger"):
        if there and spec(each, "broker") not in there:
            yield Found(
                f"the Trigger {name(each)} is of a broker that is not there, {spec(each, 'broker')}",
                f"spec: {{broker: {_BROKER}}} (a Trigger cannot change its broker: delete it, and apply it again)",
            )


@check("reference-leads-nowhere", "cluster", why="What is sent there is lost, or comes back as a failure for ever.")
def reference_leads_nowhere(cluster: Cluster) -> Iterator[Found]:
    for kind in ("Broker", "Trigger", "PingSource", "ApiServerSource", "SinkBinding", "KafkaSource"):
        for each in cluster.some(kind):
            for reference in references(each):
                if _is_away(cluster, reference):
                    target = f"{reference.get('kind')} {reference.get('name')}"
                    there = ", ".join(sorted(map(name, cluster.all(str(reference["kind"])))))
                    yield Found(
                        f"the {kind} {name(each)} refers to the {target}, which is not there",
                        f"name one of those that are there ({there or 'none is'}), or deploy it: {APPLY}",
                    )


def _is_away(cluster: Cluster, reference: Mapping[str, Any]) -> bool:
    kind, where = str(reference.get("kind")), reference.get("namespace") or cluster.namespace
    version = str(reference.get("apiVersion", ""))
    ours = (kind == "Service" and version.startswith("serving.knative.dev/")) or kind == "Broker"
    return ours and where == cluster.namespace and cluster.named(kind, str(reference.get("name"))) is None


@check("trigger-without-dead-letters", "cluster", why="After the last try an event is dropped, and nobody hears of it.")
def trigger_without_dead_letters(cluster: Cluster) -> Iterator[Found]:
    for each in cluster.all("Trigger"):
        if not _delivery(cluster, each).get("deadLetterSink"):
            yield Found(
                f"the Trigger {name(each)} has no dead letter sink, and its broker has none for it",
                f"in spec.delivery of the Broker {_BROKER}: {_LETTERS}",
            )


@check("trigger-without-retry", "cluster", why="An event is lost with the first answer that is no success.")
def trigger_without_retry(cluster: Cluster) -> Iterator[Found]:
    for each in cluster.all("Trigger"):
        if not _delivery(cluster, each).get("retry"):
            yield Found(
                f"the Trigger {name(each)} tries once, and never again",
                "spec.delivery: {retry: 8, backoffPolicy: exponential, backoffDelay: PT0.3S}",
            )


@check("retry-without-backoff", "cluster", why="All tries are spent within a moment, while what is away is still away.")
def retry_without_backoff(cluster: Cluster) -> Iterator[Found]:
    for each in cluster.all("Trigger"):
        delivery = _delivery(cluster, each)
        paused = delivery.get("backoffDelay") and delivery.get("backoffPolicy")
        # What reads from Kafka pauses by itself.
        if delivery.get("retry") and not paused and not _of_kafka(cluster, each):
            yield Found(
                f"{name(each)} tries {delivery['retry']} times without a pause",
                "spec.delivery: {backoffPolicy: exponential, backoffDelay: PT0.3S} beside its retry",
            )


@check("source-without-dead-letters", "cluster", why="A record that nobody can read stops the partition, or is lost.")
def source_without_dead_letters(cluster: Cluster) -> Iterator[Found]:
    for each in cluster.some("KafkaSource"):
        if not spec(each, "delivery", "deadLetterSink"):
            yield Found(f"the KafkaSource {name(each)} has no dead letter sink", f"spec.delivery: {{{_LETTERS}}}")


@check(
    "trigger-hears-everything",
    "cluster",
    why="It hears what its own subscriber says: events go round until they expire.",
)
def trigger_hears_everything(cluster: Cluster) -> Iterator[Found]:
    for each in cluster.all("Trigger"):
        if not spec(each, "filter", "attributes") and not spec(each, "filters"):
            yield Found(
                f"the Trigger {name(each)} has no filter",
                "spec: {filter: {attributes: {type: ONE-TYPE}}}",
            )


@check("event-unheard", "cluster", why="What it says is true, and nobody acts on it.")
def event_unheard(cluster: Cluster) -> Iterator[Found]:
    heard, unread = set[str](), list[str]()
    for each in cluster.all("Trigger"):
        filters, attributes = spec(each, "filters"), spec(each, "filter", "attributes")
        if not filters and not attributes:
            return
        types = _exact_types(filters) if filters else {attributes.get("type", "")}
        heard |= types
        if not types:
            unread.append(name(each))
    unheard = [kind for kind in WORDS if kind not in heard and kind != KAFKA_RECORD]
    if unheard and unread:
        raise NotLooked(f"what the filters of {', '.join(unread)} let through is not known", wanted=False)
    for kind in unheard:
        yield Found(f"no Trigger takes events of the type {kind}", _TRIGGERS.format(cluster.namespace))


def _exact_types(filters: Sequence[Mapping[str, Any]]) -> set[str]:
    """The type that all of these filters together let through at most; none where they do not say it plainly."""
    return {one["exact"]["type"] for one in filters if (one.get("exact") or {}).get("type")}


@check("trigger-twice", "cluster", why="Each event is delivered twice, and each delivery costs a request.")
def trigger_twice(cluster: Cluster) -> Iterator[Found]:
    seen: dict[tuple[str, str], str] = {}
    for each in cluster.all("Trigger"):
        kind, subscriber = spec(each, "filter", "attributes", "type"), spec(each, "subscriber", "ref", "name")
        if kind and len(spec(each, "filter", "attributes")) == 1 and subscriber:
            first = seen.setdefault((kind, subscriber), name(each))
            if first != name(each):
                yield Found(
                    f"the Triggers {first} and {name(each)} bring the same events to {subscriber}",
                    f"kubectl delete trigger {name(each)} -n {cluster.namespace}",
                )


@check("tick-missing", "cluster", why="What went wrong once is never caught up: outbox, overdue runs, vectors.")
def tick_missing(cluster: Cluster) -> Iterator[Found]:
    if not any(_to_broker(each) for each in cluster.all("PingSource")):
        yield Found(
            f"no PingSource sends a tick ({PING}) to the broker",
            f"kubectl apply -f eventing/sources/tick.yaml -n {cluster.namespace}",
        )


def _to_broker(source: Object) -> bool:
    return bool(spec(source, "sink", "ref", "kind") == "Broker")


@check("jobs-unwatched", "cluster", why="The end of a Job is seen at the next tick only, up to a minute late.")
def jobs_unwatched(cluster: Cluster) -> Iterator[Found]:
    watching = [each for each in cluster.all("ApiServerSource") if _to_broker(each)]
    if not watching:
        yield Found(
            f"no ApiServerSource says that a Job changed ({_FROM_JOBS}*)",
            f"kubectl apply -f eventing/sources/jobs.yaml -n {cluster.namespace}",
        )
