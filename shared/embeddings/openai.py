"""Embeddings from OpenAI's API, or from any server that speaks it."""

import math
import re
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from time import time
from urllib.parse import urlsplit

import msgspec
import openai

from shared.domain.errors import Rejected, Throttled, Unavailable
from shared.embeddings.batches import BYTES_PER_TOKEN, MAX_INPUT_TOKENS, batches, cut, size
from shared.embeddings.settings import TIMEOUT_SECONDS

QUOTA_RETRY_SECONDS = 3600
SETTING_RETRY_SECONDS = 300
BUSY_RETRY_SECONDS = 5


class WrongLength(Unavailable):
    """The vectors have another dimension: a fault if it happens once, and a wrong setting if it goes on."""


class OpenAIEmbedder:
    """`model` at `dimension` behind one HTTP API. Retries nothing: that is the caller's queue.

    A text longer than an input may be (8,192 tokens, estimated as 24,576 bytes) is cut there, because
    its beginning says more than no vector at all: split long texts before. `timeout` is in seconds,
    for each of connecting, sending and every read.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str | None,
        model: str,
        dimension: int,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        if not re.fullmatch(r"[!-~]+", api_key):
            raise ValueError("OPENAI_API_KEY holds spaces or characters that no key has")
        address = urlsplit(base_url or "https://default")
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("OPENAI_BASE_URL must be an http or https URL")
        self.model = model
        self.dimension = dimension
        self._client = openai.OpenAI(api_key=api_key, base_url=base_url or None, timeout=timeout, max_retries=0)

    def describe(self) -> str:
        return f"{self.model}: {self.dimension} dimensions, by an OpenAI API"

    def close(self) -> None:
        """Closes the connections to the API."""
        self._client.close()

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector of unit length per text, in order.

        Raises Rejected for an empty or refused text, Throttled at a limit, Unavailable otherwise.
        """
        if not all(text.strip() for text in texts):
            raise Rejected("text is empty: there is nothing to embed")
        inputs = [cut(text.strip(), MAX_INPUT_TOKENS * BYTES_PER_TOKEN) for text in texts]
        return [vector for batch in batches(inputs) for vector in self._embed_batch(batch)]

    def _embed_batch(self, texts: list[str]) -> list[list[float]]:
        try:
            return _vectors(self._post(texts), len(texts), self.dimension)
        except openai.BadRequestError as error:
            # No text has more tokens than bytes: below that the refusal means something else.
            if "token" not in error.message or sum(map(size, texts)) <= MAX_INPUT_TOKENS:
                raise _meaning(error) from None
        except openai.APIStatusError as error:
            raise _meaning(error) from None
        except openai.APIError:
            raise Unavailable("the embedding API cannot be reached or does not answer in time") from None
        if len(texts) == 1:
            return self._embed_batch([cut(texts[0], max(size(texts[0]) // 2, MAX_INPUT_TOKENS))])
        middle = len(texts) // 2
        return self._embed_batch(texts[:middle]) + self._embed_batch(texts[middle:])

    def _post(self, texts: list[str]) -> bytes:
        # Floats, not base64: every server that speaks this API can send them.
        answer = self._client.embeddings.with_raw_response.create(
            input=texts, model=self.model, dimensions=self.dimension, encoding_format="float"
        )
        return answer.content


class _Entry(msgspec.Struct):
    index: int
    embedding: list[float]


class _Body(msgspec.Struct):
    data: list[_Entry]


# A tenth of what the standard library needs for thousands of numbers.
_decode = msgspec.json.Decoder(_Body).decode


def _vectors(body: bytes, count: int, dimension: int) -> list[list[float]]:
    """The vectors of an answer in the order of the inputs, checked and of unit length."""
    try:
        entries = sorted(_decode(body).data, key=lambda entry: entry.index)
    except msgspec.MsgspecError:
        raise Unavailable("the embedding API sent an answer that cannot be read") from None
    vectors = [entry.embedding for entry in entries]
    if [entry.index for entry in entries] != list(range(count)):
        raise Unavailable("the embedding API did not answer for exactly the texts it was sent")
    if any(len(vector) != dimension for vector in vectors):
        raise WrongLength(
            "the embedding API sent vectors of another length: "
            "check OPENAI_EMBEDDING_DIMENSION and OPENAI_EMBEDDING_MODEL"
        )
    return [_unit(vector) for vector in vectors]


def _unit(vector: list[float]) -> list[float]:
    norm = math.hypot(*vector)
    if not math.isfinite(norm) or norm == 0.0:
        raise Unavailable("the embedding API sent a vector that is zero or not finite")
    return [value / norm for value in vector]


def _meaning(error: openai.APIStatusError) -> Rejected | Unavailable:
    """What a refusal means here. Nothing of the API's own words is passed on."""
    status = error.status_code
    if "insufficient_quota" in (error.code, error.type):
        return Throttled("the OpenAI account has no quota left: check its billing", QUOTA_RETRY_SECONDS)
    if status == 429:
        return Throttled("the embedding API asks for fewer requests", _retry_after(error))
    if status in (401, 403):
        return Unavailable("the embedding API refuses the key: check OPENAI_API_KEY", SETTING_RETRY_SECONDS)
    if status == 404 or "dimension" in error.message or error.param in ("model", "dimensions"):
        return Unavailable(
            "the embedding API does not offer this model: check OPENAI_EMBEDDING_MODEL, "
            "OPENAI_EMBEDDING_DIMENSION and OPENAI_BASE_URL",
            SETTING_RETRY_SECONDS,
        )
    if status in (400, 413, 422):
        return Rejected("the embedding API refuses this text")
    return Unavailable("the embedding API failed", _retry_after(error))


def _retry_after(error: openai.APIStatusError) -> int:
    """The seconds the API asks to wait, as a number or as a date, from 1 to QUOTA_RETRY_SECONDS."""
    header = error.response.headers.get("retry-after", "")
    try:
        seconds = float(header) if header[:1].isdigit() else parsedate_to_datetime(header).timestamp() - time()
    except ValueError:
        return BUSY_RETRY_SECONDS
    return max(1, math.ceil(min(seconds, QUOTA_RETRY_SECONDS)))
