"""Lists by label, and lists in pages."""

from typing import Any

import pytest

from tests.contract.api_server.space import Space


def _names(space: Space, **query: str) -> list[str]:
    _, answer = space.api.request("GET", space.path("secrets"), query=query)
    return [item["metadata"]["name"] for item in answer["items"]]


@pytest.fixture
def labelled(space: Space) -> Space:
    space.secret("a", metadata={"labels": {"kind": "run", "task": "1"}})
    space.secret("b", metadata={"labels": {"kind": "run", "task": "2"}})
    space.secret("c", metadata={"labels": {"kind": "other"}})
    space.secret("d")
    return space


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("kind=run", "ab"),
        ("kind==run,task=2", "b"),
        ("kind in (run, other)", "abc"),
        ("task in (1),kind=run", "a"),
        ("task", "ab"),
        ("kind,!task", "c"),
        ("!kind", "d"),
        ("kind!=run", "cd"),
        ("kind notin (run)", "cd"),
        ("kind=none", ""),
        ("", "abcd"),
    ],
)
def test_a_selector_finds_those_that_have_the_labels(labelled: Space, selector: str, names: str) -> None:
    assert _names(labelled, labelSelector=selector) == [*names]


@pytest.mark.parametrize("query", [{"labelSelector": "a in b"}, {"labelSelector": "a=b=c"}, {"fieldSelector": "x=y"}])
def test_a_selector_that_nobody_understands_is_refused(space: Space, query: dict[str, str]) -> None:
    assert space.api.request("GET", space.path("secrets"), query=query)[0] == 400


def test_a_field_selector_finds_a_name(labelled: Space) -> None:
    assert _names(labelled, fieldSelector="metadata.name=c") == ["c"]


def _page(space: Space, **query: str) -> tuple[list[str], dict[str, Any]]:
    status, answer = space.api.request("GET", space.path("secrets"), query=query)
    assert status == 200, answer
    return [item["metadata"]["name"] for item in answer["items"]], answer["metadata"]


def test_a_list_comes_in_pages(labelled: Space) -> None:
    names, metadata = _page(labelled, limit="3")
    assert names == [*"abc"] and metadata["remainingItemCount"] == 1
    names, metadata = _page(labelled, limit="3", **{"continue": metadata["continue"]})
    assert names == ["d"] and not metadata.get("continue")


def test_a_page_is_of_those_that_the_selector_finds(labelled: Space) -> None:
    names, metadata = _page(labelled, limit="1", labelSelector="kind=run")
    assert names == ["a"] and metadata["continue"]
    names, metadata = _page(labelled, limit="1", labelSelector="kind=run", **{"continue": metadata["continue"]})
    assert names == ["b"]


def test_what_happens_between_two_pages_is_not_seen(labelled: Space) -> None:
    _, metadata = _page(labelled, limit="2")
    labelled.api.delete(labelled.path("secrets", "c"))
    labelled.secret("e")
    names, _ = _page(labelled, limit="9", **{"continue": metadata["continue"]})
    assert names == ["c", "d"]


def test_a_page_token_of_somebody_else_is_refused(space: Space) -> None:
    query = {"limit": "1", "continue": "nonsense"}
    assert space.api.request("GET", space.path("secrets"), query=query)[0] == 400


def test_a_list_says_of_what_it_is_and_its_items_do_not(labelled: Space) -> None:
    _, answer = labelled.api.request("GET", labelled.path("secrets"))
    assert (answer["kind"], answer["apiVersion"]) == ("SecretList", "v1")
    assert "kind" not in answer["items"][0]
    labelled.workflow()
    _, answer = labelled.api.request("GET", labelled.workflows)
    assert answer["kind"] == "WorkflowList" and answer["items"][0]["kind"] == "Workflow"
    assert answer["metadata"]["resourceVersion"]


def test_a_list_of_a_namespace_that_is_not_there_is_empty(space: Space) -> None:
    assert space.api.list("/api/v1/namespaces/no-such/secrets") == []
