"""The rules that need no server."""

from datetime import UTC, datetime

import pytest

from shared.domain.errors import Rejected
from shared.events.event import Event
from shared.local.broker import hops
from shared.local.broker.retries import backoff, is_final, is_retried, pause, retry_after
from shared.local.manifests import Delivery

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


def test_exactly_these_answers_are_retried() -> None:
    assert [status for status in range(100, 504) if is_retried(status)] == [404, 408, 409, 429, 500, 501, 502, 503]


def test_retry_counts_the_attempts_after_the_first() -> None:
    assert [is_final(Delivery(retry=2), attempts, 500) for attempts in (1, 2, 3)] == [False, False, True]
    assert is_final(Delivery(retry=2), 1, 400)


def test_a_delay_without_a_policy_is_none_as_knative_has_it() -> None:
    assert backoff(Delivery(retry=3, backoff_policy=None, backoff_delay=1), 2) == 0


def test_no_back_off_is_longer_than_an_hour() -> None:
    assert backoff(Delivery(retry=1000, backoff_delay=1), 1000) == 3600


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        ("7", 7),
        ("0", 0),
        ("99999", 99999),
        ("9" * 400, float("inf")),
        ("-1", 0),
        ("soon", 0),
        ("Fri, 01 May 2026 12:00:09 GMT", 9),
        ("Fri, 01 May 2026 11:59:00 GMT", 0),
        ("Fri, 01 May 2026 13:00:00 -0000", 3600),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str | None, seconds: float) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "limit", "asked", "seconds"),
    [(429, 10, 7, 7), (503, 10, 99, 10), (503, 10, 1, 2), (429, 0, 99, 2), (500, 10, 99, 2), (404, 10, 99, 2)],
)
def test_retry_after_counts_if_the_delivery_allows_it_and_the_answer_says_busy(
    status: int, limit: float, asked: float, seconds: float
) -> None:
    delivery = Delivery(retry=3, backoff_delay=1, retry_after_max=limit)
    assert pause(delivery, 2, status, asked) == seconds


def _with(hops_left: str) -> Event:
    return Event("1", "/s", "t", extensions={hops.EXTENSION: hops_left})


def test_a_new_event_has_255_hops_and_each_pass_takes_one() -> None:
    fresh = hops.entering(Event("1", "/s", "t"))
    assert fresh.extensions == {hops.EXTENSION: "255"}
    assert hops.entering(fresh).extensions == {hops.EXTENSION: "254"}
    assert hops.leaving(fresh).extensions == {}


@pytest.mark.parametrize("left", ["1", "0"])
def test_an_event_without_hops_left_is_refused(left: str) -> None:
    with pytest.raises(Rejected):
        hops.entering(_with(left))


def test_a_hop_limit_that_is_no_number_counts_as_none() -> None:
    assert hops.entering(_with("many")).extensions == {hops.EXTENSION: "255"}
