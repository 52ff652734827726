"""How far a clock is from ours is known within the time that the answer took."""

import pytest

from shared.domain.clock_reading import from_date, read
from shared.domain.condition import Clock


def test_a_clock_is_read_in_the_middle_of_the_question() -> None:
    assert read("a", 110.0, 99.0, 101.0) == Clock("a", 10.0, 1.0)


def test_a_date_has_whole_seconds() -> None:
    clock = from_date("a", "Thu, 01 Jan 1970 00:01:40 GMT", 100.0, 101.0)
    assert clock == Clock("a", 0.0, 1.0)


@pytest.mark.parametrize("header", [None, "", "now", "Thu, 99 Jan 1970 00:01:40 GMT", "Thu, 01 Jan 99999 00:00:00 GMT"])
def test_what_is_no_date_says_nothing(header: str | None) -> None:
    assert from_date("a", header, 0.0, 1.0) is None
