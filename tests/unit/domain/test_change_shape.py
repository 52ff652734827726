"""The shape of a change: the same for the same change to other objects, and without what they are called and hold."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.change_shape import shape
from shared.domain.manifests import Seen, difference, document
from shared.domain.task import Target
from tests.cpu_time import cpu_seconds

WEB = Target("apps/v1", "Deployment", "shop", "web")
API = Target("apps/v1", "Deployment", "bank", "api")
SETTINGS = Target("v1", "ConfigMap", "shop", "settings")


def seen(target: Target, **content: Any) -> Seen:
    metadata = {"name": target.name, "namespace": target.namespace, **content.pop("metadata", {})}
    return Seen(target, {"apiVersion": target.api_version, "kind": target.kind, "metadata": metadata, **content})


def changed(before: list[Seen], after: list[Seen]) -> str:
    """The shape of what a run has changed, by way of what is stored of it."""
    return shape(difference(document(before, b"key"), document(after, b"key")))


def pods(target: Target, replicas: int, container: str, image: str) -> Seen:
    template = {"spec": {"containers": [{"name": container, "image": image}]}}
    return seen(target, spec={"replicas": replicas, "template": template})


SCALED = (
    "apps/v1 Deployment: spec.replicas changed; spec.template.spec.containers[].image changed",
    [pods(WEB, 2, "web", "shop/web:1")],
    [pods(WEB, 3, "web", "shop/web:2")],
)


def test_fields_are_told_without_names_and_values() -> None:
    expected, before, after = SCALED
    assert changed(before, after) == expected


def test_the_same_change_to_another_object_has_the_same_shape() -> None:
    assert changed([pods(API, 7, "api", "bank/api:x")], [pods(API, 9, "api", "bank/api:y")]) == SCALED[0]


def test_several_objects_of_a_kind_are_told_together_and_kinds_in_their_order() -> None:
    before = [seen(WEB, spec={"replicas": 1}), seen(SETTINGS, data={"a": "1"}), seen(API, spec={"paused": False})]
    after = [seen(WEB, spec={"replicas": 2}), seen(SETTINGS, data={"a": "2"}), seen(API, spec={"paused": True})]
    expected = "apps/v1 Deployment: spec.paused changed; spec.replicas changed\nv1 ConfigMap: data.* changed"
    assert changed(before, after) == changed(before[::-1], after[::-1]) == expected


def test_what_comes_and_what_goes_is_told_by_a_word() -> None:
    there, absent = [pods(WEB, 2, "web", "shop/web:1")], [Seen(WEB, None)]
    assert changed(absent, there) == "apps/v1 Deployment: created"
    assert changed(there, absent) == "apps/v1 Deployment: deleted"


def test_what_could_not_be_read_has_not_changed() -> None:
    there, unread = [pods(WEB, 2, "web", "shop/web:1")], [Seen(WEB, None, "forbidden")]
    assert changed(there, unread) == changed(unread, there) == "apps/v1 Deployment: could not be read"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            {"metadata": {"labels": {"a.b/c": "1"}}},
            {"metadata": {"labels": {"a.b/c": "2"}}},
            "metadata.labels.* changed",
        ),
        (
            {"metadata": {"annotations": {"x": "1"}}},
            {"metadata": {"annotations": {"x": "1", "y: z": "2"}}},
            "metadata.annotations.* added",
        ),
        ({"data": {"a": "1", "b.c": "2"}}, {"data": {"a": "1"}}, "data.* removed"),
        ({"spec": {"selector": {"app": "a"}}}, {"spec": {"selector": {"app": "b"}}}, "spec.selector.* changed"),
        (
            {"spec": {"selector": {"matchLabels": {"app": "a"}}}},
            {"spec": {"selector": {"matchLabels": {"app": "b"}}}},
            "spec.selector.matchLabels.* changed",
        ),
        ({"spec": {"ports": [80, 90]}}, {"spec": {"ports": [80, 91]}}, "spec.ports[] changed"),
    ],
    ids=["labels", "annotations", "data", "selector", "matchLabels", "places"],
)
def test_what_somebody_has_named_is_not_told(before: Any, after: Any, expected: str) -> None:
    assert changed([seen(SETTINGS, **before)], [seen(SETTINGS, **after)]) == f"v1 ConfigMap: {expected}"


def test_what_the_cluster_does_by_itself_is_told_only_if_nothing_else_has_changed() -> None:
    before = seen(WEB, spec={"replicas": 1}, status={"replicas": 1})
    scaled = seen(WEB, spec={"replicas": 2}, status={"replicas": 2})
    settling = seen(WEB, spec={"replicas": 1}, status={"replicas": 0})
    assert changed([before], [scaled]) == "apps/v1 Deployment: spec.replicas changed"
    assert changed([before], [settling]) == "apps/v1 Deployment: status changed"


def test_of_very_many_fields_the_first_are_told() -> None:
    before = seen(WEB, spec={f"field{number:03d}": 1 for number in range(100)})
    after = seen(WEB, spec={f"field{number:03d}": 2 for number in range(100)})
    told = changed([before], [after])
    assert told.startswith("apps/v1 Deployment: spec.field000 changed; ")
    assert told.endswith("; spec.field059 changed; 40 fields more")


def test_a_line_that_is_none_of_ours_is_a_change_still() -> None:
    assert shape("patched by hand") == "something else changed"


@given(st.text(max_size=200) | st.text(st.sampled_from("+-~ :.[]a\n\u00a0"), max_size=200))
def test_whatever_is_stored_as_a_difference_has_a_shape(text: str) -> None:
    assert bool(shape(text)) == bool(text.strip(" \t\r\n"))


@pytest.mark.parametrize(
    "text",
    ["[" * 1_000_000, "~ a b c: " + "[" * 1_000_000 + ": 1", "~ a b " + ": x" * 300_000, "+ " * 500_000, "\n" * 10**6],
    ids=range(5),
)
def test_a_hostile_difference_takes_linear_time(text: str) -> None:
    assert cpu_seconds(lambda: shape(text)) < 4
