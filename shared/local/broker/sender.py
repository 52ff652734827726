"""Posts events to subscribers and judges their answers."""

from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp

from shared.domain.errors import Malformed
from shared.events import codec
from shared.events.event import Event
from shared.local.broker.retries import retry_after

_BODY_LIMIT = 1 << 20
# Shorter than any server's, so that a connection is not reused in the moment its server closes it.
_KEEPALIVE = 2.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a subscriber said. `retry_after` is in seconds, `error` names what kept it from answering."""

    status: int
    body: bytes = b""
    retry_after: float = 0.0
    replies: tuple[Event, ...] = ()
    error: str | None = None

    @property
    def accepted(self) -> bool:
        """True if the delivery has succeeded."""
        return 200 <= self.status < 300


def session() -> aiohttp.ClientSession:
    """The client session of a broker; to be closed by the caller."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


class Sender:
    """Delivers in binary mode, one attempt a call; follows redirects, as the HTTP client of Knative does."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client = client

    async def deliver(self, url: str, event: Event, timeout: float) -> Answer:
        """Posts to a subscriber, which may reply with an event and with nothing else."""
        return _judged(await self._post(url, event, timeout, {"Prefer": "reply"}))

    async def bury(self, url: str, event: Event, timeout: float) -> Answer:
        """Posts to a dead-letter sink, whose body Knative does not look at."""
        answer, _headers = await self._post(url, event, timeout, {})
        return answer

    async def _post(
        self, url: str, event: Event, timeout: float, extra: dict[str, str]
    ) -> tuple[Answer, dict[str, str]]:
        headers, body = codec.encode(event)
        try:
            async with self._client.post(
                url,
                data=body,
                headers=headers | extra,
                # Without a content type the event has no datacontenttype: none must be added.
                skip_auto_headers=["Content-Type"],
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as response:
                content = await _beginning(response.content, _BODY_LIMIT + 1)
                wait = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
                return Answer(response.status, content, wait), dict(response.headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Knative's channel notes 500 and these words where there was no answer.
            name = type(error).__name__
            return Answer(500, f"dispatch error: {name}".encode(), error=name), {}


async def _beginning(content: aiohttp.StreamReader, limit: int) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) >= limit:
            break
    return bytes(body[:limit])


def _judged(posted: tuple[Answer, dict[str, str]]) -> Answer:
    """A success that says anything but an event is a failure, as Knative's broker filter has it: 502."""
    answer, headers = posted
    if not answer.accepted or not (answer.body or codec.is_event(headers)):
        return answer
    refusal = Answer(502, answer.body, error="the body of a 2xx answer must be empty or a CloudEvent")
    if len(answer.body) > _BODY_LIMIT or not codec.is_event(headers):
        return refusal
    try:
        return Answer(answer.status, replies=codec.decode(headers, answer.body))
    except Malformed:
        return refusal
