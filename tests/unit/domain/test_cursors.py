"""Places to go on from: what we gave is read again, and nothing else is."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.cursors import EntryId, TaskCursor
from shared.domain.errors import Malformed

TIMES = st.datetimes(datetime(1970, 1, 1), datetime(6536, 1, 1), timezones=st.just(UTC))


@given(TIMES, st.uuids())
def test_a_cursor_is_read_as_it_was_written(at: datetime, task: UUID) -> None:
    cursor = TaskCursor(at, task)
    assert TaskCursor.parse(str(cursor)) == cursor


@given(st.integers(0, 2**64 - 1), st.integers(0, 10**17 - 1), st.integers(0, 9), st.from_regex(r"\A[a-z0-9-]{0,120}\Z"))
def test_an_entry_id_is_read_as_it_was_written(position: int, micros: int, place: int, tie: str) -> None:
    entry = EntryId(position, micros, place, tie)
    assert EntryId.parse(str(entry)) == entry
    assert str(entry).isascii()


@given(st.text(max_size=60) | st.text("ABCabc019-_=", min_size=30, max_size=34))
def test_a_text_that_is_read_is_one_that_we_write(text: str) -> None:
    for kind in (TaskCursor, EntryId):
        try:
            assert str(kind.parse(text)) == text
        except Malformed as refused:
            assert len(text) < 3 or text not in str(refused)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "MC4wLjAu\n",
        "MC4wLjAu==",
        "MC4wLjAv",
        "MC4wLjAuQQ",
        "MTg0NDY3NDQwNzM3MDk1NTE2MTYuMC4wLg",
        "٣",
        "A" * 401,
    ],
)
def test_what_no_stream_has_sent_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        EntryId.parse(text)


def test_a_time_beyond_all_times_is_refused() -> None:
    with pytest.raises(Malformed):
        TaskCursor.parse("f" * 11 + str(TaskCursor(datetime(2026, 1, 1, tzinfo=UTC), uuid4()))[11:])
