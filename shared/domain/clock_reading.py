"""How far another clock is from this machine's, from one question and its answer."""

from datetime import UTC
from email.utils import parsedate_to_datetime

from shared.domain.condition import Clock


def read(name: str, there: float, before: float, after: float, resolution: float = 0.0) -> Clock:
    """`there` was read between `before` and `after`, all in Unix time; it is cut to `resolution` seconds."""
    return Clock(name, there + resolution / 2 - (before + after) / 2, (after - before + resolution) / 2)


def from_date(name: str, header: str | None, before: float, after: float) -> Clock | None:
    """From the `Date` of an HTTP answer, which has whole seconds; None without a usable one."""
    try:
        there = parsedate_to_datetime(header or "").astimezone(UTC).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return read(name, there, before, after, resolution=1.0)
