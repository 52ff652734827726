"""When a delivery is tried again: the rules of the Knative data plane."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from shared.local.manifests import Delivery

RETRY_AFTER_LIMIT = 60.0
_BACKOFF_LIMIT = 3600.0
_RETRIED = frozenset({404, 408, 409, 429})


def is_retried(status: int) -> bool:
    """True for answers that may be another one next time."""
    return status in _RETRIED or status >= 500


def is_final(delivery: Delivery, attempts: int, status: int) -> bool:
    """True if nothing is tried after this many attempts, the last of them answered with `status`."""
    return attempts > delivery.retry or not is_retried(status)


def backoff(delivery: Delivery, attempts: int) -> float:
    """Seconds to wait after the given number of attempts (1, 2, ...)."""
    factor = attempts if delivery.backoff_policy == "linear" else 2.0 ** (attempts - 1)
    return min(delivery.backoff_delay * factor, _BACKOFF_LIMIT)


def retry_after(value: str | None, now: datetime) -> float:
    """Seconds that a Retry-After header asks for, at most RETRY_AFTER_LIMIT; 0 if it is none."""
    if not value:
        return 0.0
    if value.isascii() and value.isdigit():
        return min(float(value), RETRY_AFTER_LIMIT)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), RETRY_AFTER_LIMIT)
