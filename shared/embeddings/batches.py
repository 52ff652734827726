"""How much fits into one request to an embedding API."""

from collections.abc import Iterator

# The API's limits: inputs a request, tokens an input, tokens a request.
MAX_INPUTS = 2048
MAX_INPUT_TOKENS = 8192
MAX_REQUEST_TOKENS = 300_000
# A cautious mean of prose, code and YAML. Counting exactly needs a download; where the estimate is
# too low the API says so, and the request is halved.
BYTES_PER_TOKEN = 3


def size(text: str) -> int:
    """The bytes of a text."""
    return len(text.encode("utf-8", "replace"))


def cut(text: str, limit: int) -> str:
    """The first `limit` bytes of a text, whole characters only."""
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def batches(texts: list[str], most: int = MAX_INPUTS) -> Iterator[list[str]]:
    """Texts in order, in groups of at most `most` that fit into one request."""
    batch: list[str] = []
    room = MAX_REQUEST_TOKENS * BYTES_PER_TOKEN
    for text in texts:
        if batch and (len(batch) == most or size(text) > room):
            yield batch
            batch, room = [], MAX_REQUEST_TOKENS * BYTES_PER_TOKEN
        batch.append(text)
        room -= size(text)
    if batch:
        yield batch
