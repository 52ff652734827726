"""A task goes from its acceptance to its end, and what is told of it is the same however one asks."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from tests.e2e.conftest import Done
from tests.e2e.system import System

# By what causes what. Between these, other entries may stand.
ORDER = ("accepted", "launched", "completed", "succeeded")
# The signature of a link, and what a wrong one gets: from callback, which serves a folder, and from S3.
REFUSALS = {"&signature=": 401, "&X-Amz-Signature=": 403}


def test_a_task_succeeds_at_its_first_attempt(first: Done) -> None:
    assert (first.shown["status"], first.shown["attempts"], first.shown["reason"]) == ("succeeded", 1, "")
    assert first.shown["acceptedAt"] <= first.shown["launchedAt"] <= first.shown["finishedAt"]


def test_what_a_task_asked_for_and_did_is_remembered(system: System, first: Done) -> None:
    assert {"prompt", "outcome"} <= system.remembered(first.id)
    assert first.shown["memory"]["stored"] >= 2


def test_the_timeline_tells_everything_once_and_in_its_order(system: System, first: Done) -> None:
    entries = system.timeline(first.id)
    story = [entry["what"] for entry in entries]
    assert sorted(ORDER, key=story.index) == list(ORDER)
    assert [story.count(what) for what in ORDER] == [1] * len(ORDER)
    assert len({entry["id"] for entry in entries}) == len(entries)
    numbers = [entry["detail"]["sequence"] for entry in entries if _of_the_container(entry)]
    assert numbers == list(range(1, len(numbers) + 1))


def _of_the_container(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry["detail"], dict) and "sequence" in entry["detail"]


def test_a_stream_tells_while_the_task_runs_what_the_timeline_tells_afterwards(system: System, first: Done) -> None:
    entries = system.timeline(first.id)
    assert [told.id for told in first.told] == [entry["id"] for entry in entries[: len(first.told)]]
    assert set(ORDER) <= {told.event for told in first.told}
    assert [(told.id, told.event) for told in first.told] == [
        (told.data["id"], told.data["what"]) for told in first.told
    ]


def test_a_stream_goes_on_after_any_entry_without_gap_or_repeat(system: System, first: Done) -> None:
    whole = [entry["id"] for entry in system.timeline(first.id)]
    middle = len(whole) // 2
    rest = [told.id for told in system.follow(first.id, whole[middle])]
    # What is remembered of a task may be told after its end, and meanwhile.
    whole_now = [entry["id"] for entry in system.timeline(first.id)]
    assert rest == whole_now[middle + 1 :][: len(rest)]
    assert len(rest) >= len(whole[middle + 1 :])


def test_an_artifact_is_had_by_its_link(system: System, first: Done) -> None:
    assert first.shown["artifacts"], "the agent has left nothing"
    artifact = first.shown["artifacts"][0]
    answer = system.get(system.target.intake, artifact["link"])
    assert answer.status == 307
    assert "no-store" in answer.headers["Cache-Control"]
    link = answer.headers["Location"]
    try:
        content = system.fetch(link)
    except urllib3.exceptions.NameResolutionError:
        pytest.skip(f"{urlsplit(link).hostname} is not known here: FACTEUR_E2E_ARTIFACTS_URL says where it is")
    assert (content.status, len(content.data)) == (200, artifact["size"])


def test_a_link_that_was_changed_opens_nothing(system: System, first: Done) -> None:
    link = system.get(system.target.intake, first.shown["artifacts"][0]["link"]).headers["Location"]
    (name,) = (name for name in REFUSALS if name in link)
    start, _, signature = link.partition(name)
    try:
        changed = system.fetch(start + name + ("1" if signature[0] == "0" else "0") + signature[1:])
        assert changed.status == REFUSALS[name]
    except urllib3.exceptions.NameResolutionError:
        pytest.skip(f"{urlsplit(link).hostname} is not known here: FACTEUR_E2E_ARTIFACTS_URL says where it is")
