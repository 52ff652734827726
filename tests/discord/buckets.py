"""Discord's side of the rate limits: fixed windows by bucket and major parameter, one for all, and the ban."""

from collections import deque
from dataclasses import dataclass, field

INVALID_CEILING, INVALID_SECONDS = 10_000, 600.0


@dataclass
class Window:
    """One bucket of one major parameter."""

    limit: int
    seconds: float
    used: int = 0
    ends_at: float = 0.0

    def spend(self, now: float) -> bool:
        """Whether one more request has room."""
        if now >= self.ends_at:
            self.used, self.ends_at = 0, now + self.seconds
        self.used += 1
        return self.used <= self.limit

    def headers(self, bucket: str, now: float) -> dict[str, str]:
        left = max(self.ends_at - now, 0.0)
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(self.limit - self.used, 0)),
            "X-RateLimit-Reset": f"{self.ends_at:.3f}",
            "X-RateLimit-Reset-After": f"{left:.3f}",
            "X-RateLimit-Bucket": bucket,
        }


@dataclass
class Buckets:
    """How many requests each bucket allows in how many seconds; changed by tests at will."""

    allowed: dict[str, tuple[int, float]] = field(
        default_factory=lambda: {
            "webhook": (5, 2.0),
            "edit": (5, 5.0),
            "send": (5, 5.0),
            "thread": (50, 300.0),
            "register": (5, 20.0),
            "old edit": (3, 20.0),
        }
    )
    global_allowed: int = 50
    windows: dict[tuple[str, str], Window] = field(default_factory=dict)
    everything: Window = field(default_factory=lambda: Window(50, 1.0))
    invalid: deque[float] = field(default_factory=deque)

    def window(self, bucket: str, major: str) -> Window:
        limit, seconds = self.allowed[bucket]
        window = self.windows.setdefault((bucket, major), Window(limit, seconds))
        window.limit, window.seconds = limit, seconds
        return window

    def is_global(self, now: float) -> bool:
        """Whether the limit for the bot as a whole stops this request."""
        self.everything.limit = self.global_allowed
        return not self.everything.spend(now)

    def count_invalid(self, now: float) -> None:
        self.invalid.append(now)

    def is_banned(self, now: float) -> bool:
        while self.invalid and self.invalid[0] <= now - INVALID_SECONDS:
            self.invalid.popleft()
        return len(self.invalid) >= INVALID_CEILING
