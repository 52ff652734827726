"""Nothing is sent while a bucket is empty, and what Discord says of its limits is learned."""

from collections.abc import Mapping

import pytest

from shared.discord.limits import (
    BOT_REQUESTS_A_SECOND,
    INVALID_CEILING,
    INVALID_SECONDS,
    MOST_LANES,
    REFUSED_BOT_SECONDS,
    Answer,
    Limits,
    Route,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> Limits:
    return Limits(clock)


def route(major: str = "1", template: str = "/channels/*/messages/*", bot: bool = False) -> Route:
    return Route("PATCH", template, major, bot)


def told(left: int, limit: int = 5, after: float = 2.0, bucket: str = "b", ends: float | None = None) -> Answer:
    headers: Mapping[str, str] = {
        **({"X-RateLimit-Reset": str(ends)} if ends is not None else {}),
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(left),
        "X-RateLimit-Reset-After": str(after),
        "X-RateLimit-Bucket": bucket,
    }
    return Answer(200, headers)


def exchange(limits: Limits, answer: Answer | None, where: Route | None = None) -> None:
    where = where or route()
    turn = limits.turn(where)
    assert turn.pause == 0
    limits.settle(where, turn, answer)


def sent_at_once(limits: Limits, where: Route) -> int:
    """How many may be sent one after the other without an answer to any of them."""
    count = 0
    while not limits.turn(where).pause:
        count += 1
    return count


def test_the_first_request_of_a_bucket_is_sent_alone(limits: Limits) -> None:
    first = limits.turn(route())
    assert (first.pause, limits.turn(route()).pause > 0) == (0, True)
    limits.settle(route(), first, told(left=3))
    assert sent_at_once(limits, route()) == 3


def test_an_empty_bucket_is_waited_for(limits: Limits, clock: Clock) -> None:
    exchange(limits, told(left=0, after=2.0))
    assert limits.turn(route()).pause == pytest.approx(2.0)
    clock.now += 2.0
    assert sent_at_once(limits, route()) == 5


def test_what_is_under_way_counts_in_the_next_window(limits: Limits, clock: Clock) -> None:
    exchange(limits, told(left=2))
    assert sent_at_once(limits, route()) == 2
    clock.now += 2.1
    assert sent_at_once(limits, route()) == 3


def test_an_answer_that_comes_late_makes_no_room(limits: Limits) -> None:
    exchange(limits, told(left=4))
    first, second = limits.turn(route()), limits.turn(route())
    limits.settle(route(), second, told(left=2))
    limits.settle(route(), first, told(left=3))
    assert sent_at_once(limits, route()) == 2


def test_an_answer_of_a_window_that_is_over_makes_no_room(limits: Limits, clock: Clock) -> None:
    exchange(limits, told(left=4, ends=50.0))
    late = limits.turn(route())
    clock.now += 2.5
    exchange(limits, told(left=1, ends=52.0))
    limits.settle(route(), late, told(left=3, after=0.1, ends=50.0))
    assert sent_at_once(limits, route()) == 0
    clock.now += 2.0
    assert sent_at_once(limits, route()) == 5


def test_answers_of_one_window_in_any_order_leave_the_least(limits: Limits, clock: Clock) -> None:
    exchange(limits, told(left=4, ends=50.0))
    turns = [limits.turn(route()) for _ in range(3)]
    for turn, left, later in zip(turns[::-1], (1, 3, 2), (0.1, 0.9, 0.5), strict=True):
        clock.now += later
        limits.settle(route(), turn, told(left, after=1.9, ends=50.005))
    assert sent_at_once(limits, route()) == 1


def test_each_channel_has_a_bucket_of_its_own(limits: Limits) -> None:
    exchange(limits, told(left=0))
    assert limits.turn(route()).pause
    assert not limits.turn(route("2")).pause


def test_routes_that_share_a_bucket_share_what_is_left(limits: Limits) -> None:
    other = route(template="/channels/*/messages")
    exchange(limits, told(left=4))
    exchange(limits, told(left=1), other)
    assert sent_at_once(limits, route()) + sent_at_once(limits, other) == 1


def test_a_route_without_limits_is_never_held_up(limits: Limits) -> None:
    exchange(limits, Answer(200, {}))
    assert all(not limits.turn(route()).pause for _ in range(100))


def test_a_request_without_an_answer_teaches_nothing(limits: Limits) -> None:
    exchange(limits, None)
    exchange(limits, told(left=2))
    assert sent_at_once(limits, route()) == 2


def test_a_refusal_of_the_route_stops_the_route_alone(limits: Limits, clock: Clock) -> None:
    exchange(limits, Answer(429, told(0).headers, 7.5))
    assert limits.turn(route()).pause == pytest.approx(7.5)
    assert not limits.turn(route("2")).pause
    clock.now += 7.5
    assert not limits.turn(route()).pause


def test_a_global_refusal_stops_the_bot_and_not_answers_to_interactions(limits: Limits) -> None:
    exchange(limits, Answer(429, {}, 3.0, "global"), route(bot=True))
    assert limits.turn(route("9", bot=True)).pause == pytest.approx(3.0)
    assert not limits.turn(route("t")).pause


def test_a_ban_stops_everything(limits: Limits) -> None:
    exchange(limits, Answer(429, {}, 600.0, "banned"))
    assert limits.turn(route("9", bot=True)).pause == limits.turn(route("t")).pause == pytest.approx(600.0)


def test_the_bot_stays_below_the_limit_for_all_its_requests(limits: Limits, clock: Clock) -> None:
    exchange(limits, Answer(200, {}), route(bot=True))
    assert sent_at_once(limits, route(bot=True)) == BOT_REQUESTS_A_SECOND - 1
    clock.now += 1.0
    assert sent_at_once(limits, route(bot=True)) == BOT_REQUESTS_A_SECOND


def test_a_token_that_is_refused_is_not_tried_with_every_message(limits: Limits, clock: Clock) -> None:
    exchange(limits, Answer(401, {}), route(bot=True))
    assert limits.turn(route("2", bot=True)).pause == pytest.approx(REFUSED_BOT_SECONDS)
    clock.now += REFUSED_BOT_SECONDS
    assert not limits.turn(route("2", bot=True)).pause


def test_too_many_invalid_requests_stop_all_but_what_went_well(limits: Limits, clock: Clock) -> None:
    exchange(limits, Answer(200, {}), route("good"))
    for number in range(INVALID_CEILING):
        exchange(limits, Answer(403, {}), route(f"bad-{number}"))
    assert limits.turn(route("new")).pause == pytest.approx(INVALID_SECONDS)
    assert not limits.turn(route("good")).pause
    clock.now += INVALID_SECONDS
    assert not limits.turn(route("new")).pause


def test_a_limit_that_others_use_up_is_not_counted_as_invalid(limits: Limits) -> None:
    for number in range(INVALID_CEILING):
        exchange(limits, Answer(429, {}, 1.0, "shared"), route(str(number)))
    assert not limits.turn(route("new")).pause


def test_no_more_lanes_are_remembered_than_could_all_go_wrong(limits: Limits) -> None:
    for number in range(MOST_LANES + 500):
        exchange(limits, told(left=4), route(str(number)))
    assert len(limits._lanes) <= MOST_LANES
    assert MOST_LANES + INVALID_CEILING < 10_000


@pytest.mark.parametrize(
    "broken",
    [
        {"X-RateLimit-Limit": "many", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset-After": "1"},
        {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "-1", "X-RateLimit-Reset-After": "1"},
        {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset-After": "nan"},
        {"X-RateLimit-Limit": "0", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "1"},
        {"X-RateLimit-Limit": "5"},
        {**told(1).headers, "X-RateLimit-Reset": "inf"},
    ],
    ids=["words", "negative", "nan", "zero", "half", "endless"],
)
def test_headers_that_make_no_sense_teach_nothing(limits: Limits, broken: dict[str, str]) -> None:
    exchange(limits, Answer(200, broken))
    assert not limits.turn(route()).pause


def test_the_token_of_an_interaction_is_in_no_repr() -> None:
    assert "secret" not in repr(route("secret-token"))
