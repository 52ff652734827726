"""Keeps us inside of Discord's rate limits: what may be sent now, and how long anything else has to wait.

Discord says with each answer which bucket a route is in, what is left of it and when it is full again. Buckets
are counted apart for each major parameter (a channel, a guild, a webhook with its token).
"""

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# The documented end is 50 a second for a bot.
BOT_REQUESTS_A_SECOND = 45
# Discord bans an address at 10,000 in ten minutes. Beyond ours only lanes go on whose last answer was a good one:
# each of them can add one more, and there are fewer of those than would be missing.
INVALID_CEILING = 1_000
INVALID_SECONDS = 600.0
REFUSED_BOT_SECONDS = 300.0
MOST_LANES = 4_096
FIRST_ANSWER_SECONDS = 0.05
# Two answers tell of the same window if its end is that near.
_SAME_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Route:
    """What Discord counts together until it says more. `bot` is whether the bot's token is sent along."""

    method: str
    template: str
    major: str = field(repr=False)  # may hold the token of an interaction
    bot: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What is read of an answer here. Of a 429: the seconds to wait, and whose limit it was.

    That is the route's ("user"), one that others use up too ("shared"), the bot's ("global"), or
    the network before Discord refuses this address altogether ("banned").
    """

    status: int
    headers: Mapping[str, str]
    retry_after: float = 0.0
    scope: str = "user"


@dataclass(slots=True)
class Lane:
    """One bucket and major parameter."""

    in_flight: int = 0
    answered: bool = False
    good: bool = False
    limit: int | None = None
    remaining: int = 0
    window: float = 0.0  # what was left of it when the last answer came
    resets_at: float = 0.0  # by Discord's clock: which window it is
    full_at: float = 0.0
    blocked_until: float = 0.0

    def pause(self, now: float) -> float:
        """Seconds until one more may be sent, 0 for at once."""
        if now < self.blocked_until:
            return self.blocked_until - now
        if not self.answered:
            return FIRST_ANSWER_SECONDS if self.in_flight else 0.0
        if self.limit is None:
            return 0.0
        if now >= self.full_at:
            self.remaining, self.full_at = max(self.limit - self.in_flight, 0), now + self.window
        return 0.0 if self.remaining else self.full_at - now

    def take(self) -> None:
        self.in_flight += 1
        self.remaining = max(self.remaining - 1, 0)

    def learn(self, answer: Answer, now: float) -> None:
        """Notes what an answer says. Those still under way may not be counted in it yet."""
        self.answered, self.good = True, answer.status < 400
        if answer.status == 429 and answer.scope in ("user", "shared"):
            self.blocked_until = max(self.blocked_until, now + answer.retry_after)
        told = _bucket(answer.headers, now)
        if told is None or told.resets_at < self.resets_at - _SAME_SECONDS:
            return  # an answer of a window that is over
        if told.resets_at <= self.resets_at + _SAME_SECONDS:
            self.remaining = min(self.remaining, told.remaining)
        else:
            self.remaining, self.resets_at = max(told.remaining - self.in_flight, 0), told.resets_at
        self.limit, self.window = told.limit, told.seconds
        self.full_at = max(self.full_at, now + told.seconds)


@dataclass(frozen=True, slots=True)
class Turn:
    """With a `pause` of 0 it may be sent, and has to be settled; else ask again after so many seconds."""

    lane: Lane
    pause: float


class Limits:
    """The lanes of one process. Safe for threads; nothing here waits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._lanes: OrderedDict[tuple[str, str], Lane] = OrderedDict()
        self._buckets: dict[tuple[str, str], str] = {}
        self._closed_until = {True: 0.0, False: 0.0}
        self._sent_by_bot: deque[float] = deque(maxlen=BOT_REQUESTS_A_SECOND)
        self._invalid: deque[float] = deque()

    def turn(self, route: Route) -> Turn:
        """Whether one request of the route may be sent now; if so, it is counted as sent."""
        with self._lock:
            now, lane = self._clock(), self._lane(route)
            pause = max(self._closed_until[route.bot] - now, self._too_many_invalid(lane, now), lane.pause(now), 0.0)
            if route.bot and not pause:
                pause = self._too_fast(now)
            if not pause:
                lane.take()
                if route.bot:
                    self._sent_by_bot.append(now)
            return Turn(lane, pause)

    def settle(self, route: Route, turn: Turn, answer: Answer | None) -> None:
        """Notes how a request ended; without an answer nothing was learned."""
        with self._lock:
            now = self._clock()
            turn.lane.in_flight -= 1
            if answer is None:
                return
            self._same_bucket(route, turn.lane, answer).learn(answer, now)
            if answer.status == 429 and answer.scope in ("global", "banned"):
                self._close(route.bot, now + answer.retry_after)
            if answer.status == 429 and answer.scope == "banned":
                self._close(not route.bot, now + answer.retry_after)
            if answer.status == 401 and route.bot:
                # One request tells as much as a thousand that the bot's token is wrong.
                self._close(True, now + REFUSED_BOT_SECONDS)
            if answer.status in (401, 403) or (answer.status == 429 and answer.scope != "shared"):
                self._invalid.append(now)

    def _close(self, bot: bool, until: float) -> None:
        self._closed_until[bot] = max(self._closed_until[bot], until)

    def _lane(self, route: Route) -> Lane:
        key = (self._buckets.get((route.method, route.template), f"{route.method} {route.template}"), route.major)
        lane = self._lanes.get(key)
        if lane is None:
            self._forget_one()
            lane = self._lanes[key] = Lane()
        self._lanes.move_to_end(key)
        return lane

    def _same_bucket(self, route: Route, lane: Lane, answer: Answer) -> Lane:
        """The lane of the bucket that the answer names: that of the request, or the one it turns out to share."""
        bucket = answer.headers.get("X-RateLimit-Bucket")
        known = self._buckets.get((route.method, route.template))
        if bucket is None or bucket == known:
            return lane
        self._buckets[(route.method, route.template)] = bucket
        self._lanes.pop((known or f"{route.method} {route.template}", route.major), None)
        return self._lanes.setdefault((bucket, route.major), lane)

    def _forget_one(self) -> None:
        if len(self._lanes) >= MOST_LANES:
            key, lane = next(iter(self._lanes.items()))
            if not lane.in_flight:
                del self._lanes[key]
            else:
                self._lanes.move_to_end(key)

    def _too_many_invalid(self, lane: Lane, now: float) -> float:
        while self._invalid and self._invalid[0] <= now - INVALID_SECONDS:
            self._invalid.popleft()
        if len(self._invalid) < INVALID_CEILING or lane.good:
            return 0.0
        return self._invalid[-INVALID_CEILING] + INVALID_SECONDS - now

    def _too_fast(self, now: float) -> float:
        full = len(self._sent_by_bot) == BOT_REQUESTS_A_SECOND
        return max(self._sent_by_bot[0] + 1.0 - now, 0.0) if full else 0.0


@dataclass(frozen=True, slots=True)
class _Told:
    """What an answer says of its bucket; `resets_at` by Discord's clock, or by ours where it does not say."""

    limit: int
    remaining: int
    seconds: float
    resets_at: float


def _bucket(headers: Mapping[str, str], now: float) -> _Told | None:
    try:
        limit, left = int(headers["X-RateLimit-Limit"]), int(headers["X-RateLimit-Remaining"])
        seconds = float(headers["X-RateLimit-Reset-After"])
        resets_at = float(headers.get("X-RateLimit-Reset", now + seconds))
    except (KeyError, ValueError):
        return None
    sound = limit > 0 and left >= 0 and 0 <= seconds < INVALID_SECONDS and 0 <= resets_at < math.inf
    return _Told(limit, left, seconds, resets_at) if sound else None
