"""Identifiers: the same fact has the same id in every process, for ever."""

import re
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ids import event_delivery, resource_name, run_id, stable_id

TEXTS = st.text(max_size=20)


def test_ids_do_not_change_from_release_to_release() -> None:
    assert run_id("delivery-1635-implementation") == UUID("0057c4c3-1be1-5dee-861b-e54862a817bb")
    assert stable_id("a", "b") == UUID("32553eea-0b96-58bf-966e-c3d1d36888e4")


@given(st.lists(TEXTS, max_size=4), st.lists(TEXTS, max_size=4))
def test_different_parts_make_different_ids(one: list[str], other: list[str]) -> None:
    assert (stable_id(*one) == stable_id(*other)) == (one == other)


def test_parts_cannot_lend_each_other_letters() -> None:
    alike = [("ab", "c"), ("a", "bc"), ("abc",), ("1:a1:b",), ("a", "b"), ("a", "b", "")]
    assert len({stable_id(*parts) for parts in alike}) == len(alike)


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_no_two_events_share_a_delivery(source: str, event: str, other_source: str, other_event: str) -> None:
    same = event_delivery(source, event) == event_delivery(other_source, other_event)
    assert same == ((source, event) == (other_source, other_event))


def test_the_name_of_a_job_is_a_dns_label() -> None:
    name = resource_name(UUID("ffffffff-ffff-ffff-ffff-ffffffffffff"), 999_999)
    assert len(name) <= 63
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
    assert resource_name(UUID(int=0), 1) != resource_name(UUID(int=0), 2)
