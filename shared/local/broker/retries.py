"""When a delivery is tried again: the rules of the Knative data plane."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from shared.local.manifests import Delivery

_BACKOFF_LIMIT = 3600.0
_RETRIED = frozenset({404, 408, 409, 429})
_BUSY = frozenset({429, 503})


def is_retried(status: int) -> bool:
    """True for answers that may be another one next time."""
    return status in _RETRIED or status >= 500


def is_final(delivery: Delivery, attempts: int, status: int) -> bool:
    """True if nothing is tried after this many attempts, the last of them answered with `status`."""
    return attempts > delivery.retry or not is_retried(status)


def pause(delivery: Delivery, attempts: int, status: int, asked: float) -> float:
    """Seconds to wait after the given number of attempts (1, 2, ...), of which the last was answered with `status`
    and a Retry-After of `asked` seconds."""
    wish = min(asked, delivery.retry_after_max) if status in _BUSY else 0.0
    return max(backoff(delivery, attempts), wish)


def backoff(delivery: Delivery, attempts: int) -> float:
    """Seconds between the attempts of this number (1, 2, ...) and the next; Knative counts them from 0."""
    if delivery.backoff_policy is None:
        return 0.0
    factor = attempts - 1 if delivery.backoff_policy == "linear" else 2.0 ** (attempts - 1)
    return min(delivery.backoff_delay * factor, _BACKOFF_LIMIT)


def retry_after(value: str | None, now: datetime) -> float:
    """Seconds that a Retry-After header asks for, 0 if it is none."""
    if not value:
        return 0.0
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)
