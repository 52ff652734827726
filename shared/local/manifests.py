"""The eventing manifests as the local twin reads them: broker, triggers, sources.

The same files are applied to a cluster. What the twin cannot do as Knative does is refused here,
with every other mistake of every file, in one ManifestError.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urljoin

import yaml

from shared.events.event import Event
from shared.local import manifest_fields as fields
from shared.local.manifest_fields import Section

_EVENTING = "eventing.knative.dev/v1"
_SOURCES = "sources.knative.dev/v1"


class ManifestError(Exception):
    """One or more manifests are missing or wrong; the message lists all mistakes, one a line."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A Service by name, and the reference that is resolved against its base URL."""

    service: str
    uri: str = ""

    def url(self, addresses: Mapping[str, str]) -> str:
        """The URL to POST to; `addresses` maps service names to base URLs."""
        return urljoin(addresses[self.service].rstrip("/") + "/", self.uri)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How deliveries are retried; `retry` counts the attempts after the first, times are in seconds.

    `retry_after_max` limits what a Retry-After asks for; without it nobody looks at that header.
    """

    retry: int = 0
    backoff_policy: str | None = "exponential"
    backoff_delay: float = 0.0
    timeout: float = 30.0
    dead_letter_sink: Destination | None = None
    retry_after_max: float = 0.0


@dataclass(frozen=True, slots=True)
class BrokerSpec:
    """The broker and the delivery of triggers that have none of their own."""

    name: str
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Trigger:
    """Which events go to which subscriber, and how."""

    name: str
    subscriber: Destination
    delivery: Delivery
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def wants(self, event: Event) -> bool:
        """True if every attribute of the filter is present and equal; "" takes any present value."""
        values = ((event.attribute(name), wanted) for name, wanted in self.attributes.items())
        return all(value is not None and wanted in ("", value) for value, wanted in values)


@dataclass(frozen=True, slots=True)
class PingSource:
    """An event on a cron schedule (5 fields, in `timezone`)."""

    name: str
    schedule: str
    timezone: str = "UTC"
    data: bytes | None = None
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Manifests:
    """Everything that `load` found."""

    broker: BrokerSpec
    triggers: tuple[Trigger, ...]
    pings: tuple[PingSource, ...]

    @property
    def services(self) -> frozenset[str]:
        """The names of all Services that events are sent to."""
        sinks = [trigger.delivery.dead_letter_sink for trigger in self.triggers]
        return frozenset(end.service for end in [*sinks, *(t.subscriber for t in self.triggers)] if end)


def load(folder: Path) -> Manifests:
    """Reads `broker.yaml`, `triggers/*.yaml` and `sources/*.yaml`; ManifestError names every mistake."""
    mistakes: list[str] = []
    found = [_broker(*item) for item in _manifests(folder, [folder / "broker.yaml"], {"Broker": _EVENTING}, mistakes)]
    if len(found) > 1:
        mistakes.append("broker.yaml: must hold one Broker only")
    # Without a broker the rest is read all the same: its mistakes are said in the same run.
    broker = found[0] if found else BrokerSpec("", Delivery())
    triggers = _manifests(folder, _yaml(folder / "triggers"), {"Trigger": _EVENTING}, mistakes)
    # What an ApiServerSource says in a cluster, the node says on a laptop.
    kinds = {"PingSource": _SOURCES, "ApiServerSource": _SOURCES}
    sources = _manifests(folder, _yaml(folder / "sources"), kinds, mistakes)
    manifests = Manifests(
        broker,
        tuple(_trigger(name, manifest, broker) for name, manifest in triggers),
        tuple(_ping(name, source, broker) for name, source in sources if source.value["kind"] == "PingSource"),
    )
    if mistakes:
        raise ManifestError("\n".join(mistakes))
    return manifests


def _yaml(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])


def _manifests(
    folder: Path, files: Iterable[Path], kinds: Mapping[str, str], mistakes: list[str]
) -> Iterator[tuple[str, Section]]:
    """The name and the content of every document that is one of `kinds` (kind to apiVersion)."""
    names: set[tuple[str, str]] = set()
    for file in files:
        shown = str(file.relative_to(folder))
        for document in _documents(file, shown, mistakes):
            manifest = Section(shown, "", document, mistakes)
            kind = manifest.parsed("kind", fields.one_of(*kinds))
            if not kind:
                continue
            manifest.only("apiVersion", "kind", "metadata", "spec")
            manifest.parsed("apiVersion", fields.one_of(kinds[kind]))
            name = manifest.section("metadata").parsed("name", fields.object_name)
            if name and (kind, name) in names:
                manifest.note("metadata.name", f"is the name of another {kind}: each needs its own")
            names.add((kind, name))
            yield name, manifest


def _documents(file: Path, shown: str, mistakes: list[str]) -> list[object]:
    try:
        documents = list(yaml.load_all(file.read_text(encoding="utf-8"), Loader=fields.StrictLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        mistakes.append(f"{shown}: is not valid YAML{line}: {getattr(error, 'problem', None) or 'correct it'}")
    except UnicodeDecodeError:
        mistakes.append(f"{shown}: is not UTF-8 text: save it as UTF-8")
    except OSError as error:
        mistakes.append(f"{shown}: cannot be read: {error.strerror}")
    else:
        if any(documents):
            return [document for document in documents if document is not None]
        mistakes.append(f"{shown}: is empty: write a manifest or remove the file")
    return []


def _broker(name: str, manifest: Section) -> BrokerSpec:
    spec = manifest.section("spec", required=False)
    spec.only("config", "delivery")
    return BrokerSpec(name, _delivery(spec) or Delivery())


def _trigger(name: str, manifest: Section, broker: BrokerSpec) -> Trigger:
    spec = manifest.section("spec")
    spec.only("broker", "filter", "filters", "subscriber", "delivery")
    _names_broker(spec, "broker", broker)
    subscriber = _destination(spec.section("subscriber"))
    # Knative takes one delivery or the other as a whole, never field by field.
    return Trigger(name, subscriber, _delivery(spec) or broker.delivery, MappingProxyType(_filter(spec)))


def _ping(name: str, manifest: Section, broker: BrokerSpec) -> PingSource:
    spec = manifest.section("spec")
    spec.only("schedule", "timezone", "contentType", "data", "dataBase64", "sink")
    sink = spec.section("sink")
    sink.only("ref")
    _names_broker(_reference(sink, (_EVENTING,), "Broker"), "name", broker)
    data = spec.parsed("data", lambda value: fields.text(value).encode(), None)
    if "dataBase64" in spec.value:
        if data is not None:
            spec.note("dataBase64", "cannot stand beside data: keep one of them")
        data = spec.parsed("dataBase64", fields.base64_bytes)
    schedule = spec.parsed("schedule", fields.cron)
    timezone = spec.parsed("timezone", fields.timezone, "UTC")
    return PingSource(name, schedule, timezone, data, spec.parsed("contentType", fields.text, None))


def _names_broker(section: Section, name: str, broker: BrokerSpec) -> None:
    named = section.parsed(name, fields.text)
    if named and broker.name and named != broker.name:
        section.note(name, f"must be {broker.name}, the broker of broker.yaml")


def _reference(end: Section, api_versions: tuple[str, ...], kind: str) -> Section:
    ref = end.section("ref")
    ref.only("apiVersion", "kind", "name", "namespace")
    ref.parsed("apiVersion", fields.one_of(*api_versions))
    ref.parsed("kind", fields.one_of(kind))
    return ref


def _delivery(spec: Section) -> Delivery | None:
    if "delivery" not in spec.value:
        return None
    delivery = spec.section("delivery")
    delivery.only("retry", "backoffPolicy", "backoffDelay", "timeout", "retryAfterMax", "deadLetterSink")
    return Delivery(
        delivery.parsed("retry", fields.retries, 0),
        delivery.parsed("backoffPolicy", fields.one_of("exponential", "linear"), None),
        delivery.parsed("backoffDelay", fields.duration, 0.0),
        delivery.parsed("timeout", fields.positive_duration, 30.0),
        _destination(delivery.section("deadLetterSink")) if "deadLetterSink" in delivery.value else None,
        delivery.parsed("retryAfterMax", fields.duration, 0.0),
    )


def _destination(end: Section) -> Destination:
    end.only("ref", "uri")
    ref = _reference(end, ("serving.knative.dev/v1", "v1"), "Service")
    return Destination(ref.parsed("name", fields.object_name), end.parsed("uri", fields.relative_uri, ""))


def _filter(spec: Section) -> dict[str, str]:
    if "filters" not in spec.value:
        only = spec.section("filter", required=False)
        only.only("attributes")
        return _attributes(only.section("attributes", required=False), fields.text)
    if "filter" in spec.value:
        spec.note("filters", "cannot stand beside filter: keep one of them")
    wanted: dict[str, str] = {}
    for dialect in spec.sections("filters"):
        dialect.only("exact")
        exact = _attributes(dialect.section("exact"), fields.non_empty_text)
        if any(wanted.get(name, value) != value for name, value in exact.items()):
            spec.note("filters", "contradict each other: no event can pass all of them")
        wanted |= exact
    return wanted


def _attributes(section: Section, parse: Callable[[object], str]) -> dict[str, str]:
    for name in section.value:
        if not fields.is_attribute_name(name):
            section.note(str(name), "is no CloudEvents attribute name: lower-case letters and digits only")
    return {str(name): section.parsed(name, parse) for name in section.value}
