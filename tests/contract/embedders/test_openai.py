"""OpenAI's API through the real client: its limits, its faults and what they mean here."""

import math
from collections.abc import Mapping
from email.utils import formatdate
from time import time
from typing import Any

import pytest

from shared.domain.errors import Rejected, Throttled, Unavailable
from shared.embeddings import configured, embedder
from shared.embeddings.openai import SETTING_RETRY_SECONDS, OpenAIEmbedder, WrongLength
from shared.local.state import free_port
from tests.component.conftest import until
from tests.contract.embedders.openai_server import (
    KEY,
    Answer,
    OpenAIServer,
    refusal,
    well,
)

TOO_LONG = "This model's maximum context length is 8192 tokens, however you requested 9001 tokens"


def edited(request: Mapping[str, Any], **changes: Any) -> Answer:
    """The right answer with its first entry changed."""
    answer = well(request)
    answer.body["data"][0].update(changes)
    return answer


def test_the_request_says_key_model_and_dimension(client: OpenAIEmbedder, server: OpenAIServer) -> None:
    client.embed(["a text"])
    assert server.keys == [f"Bearer {KEY}"]
    assert server.requests == [
        {
            "input": ["a text"],
            "model": "text-embedding-3-large",
            "dimensions": 48,
            "encoding_format": "float",
        }
    ]


def test_with_a_key_the_embedder_is_openais(server: OpenAIServer) -> None:
    name = configured(KEY, "text-embedding-3-small", 32)
    assert name == "text-embedding-3-small:32"
    chosen = embedder(name, KEY, server.base_url)
    assert isinstance(chosen, OpenAIEmbedder)
    assert (chosen.model, chosen.dimension) == ("text-embedding-3-small", 32)
    assert len(chosen.embed(["text"])[0]) == 32
    chosen.close()


def test_no_request_holds_more_inputs_than_the_api_takes(client: OpenAIEmbedder, server: OpenAIServer) -> None:
    texts = [f"text {number}" for number in range(2100)]
    assert client.embed(texts) == [client.embed([texts[0]])[0], *client.embed(texts[1:])]
    assert [len(request["input"]) for request in server.requests] == [2048, 52, 1, 2048, 51]


def test_no_request_holds_more_tokens_than_the_api_takes(client: OpenAIEmbedder, server: OpenAIServer) -> None:
    assert len(client.embed(["x" * 24_000] * 80)) == 80
    assert [sum(map(len, request["input"])) for request in server.requests] == [888_000, 888_000, 144_000]


def test_a_text_that_is_too_long_is_cut_between_characters(client: OpenAIEmbedder, server: OpenAIServer) -> None:
    client.embed(["x" + "é" * 20_000])
    (sent,) = server.requests[0]["input"]
    assert sent == "x" + "é" * 12_287


def test_a_refusal_for_too_many_tokens_halves_the_request(client: OpenAIEmbedder, server: OpenAIServer) -> None:
    def crowded(request: Mapping[str, Any]) -> Answer:
        fits = sum(map(len, request["input"])) <= 10_000
        return well(request) if fits else refusal(400, TOO_LONG)

    texts = ["a" * 9_000, "b" * 20_000, "c", "d" * 4_000]
    server.respond = crowded
    vectors = client.embed(texts)
    server.respond = well
    assert vectors == client.embed(["a" * 9_000, "b" * 10_000, "c", "d" * 4_000])


def test_a_server_that_refuses_every_length_is_not_asked_for_ever(client: OpenAIEmbedder, server: OpenAIServer) -> None:
    server.respond = lambda _: refusal(400, TOO_LONG)
    with pytest.raises(Rejected):
        client.embed(["a" * 20_000, "b"])
    assert [sum(map(len, request["input"])) for request in server.requests] == [20_001, 20_000, 10_000, 8_192]


def test_a_refused_text_is_rejected_and_not_repeated_in_the_error(client: OpenAIEmbedder, server: OpenAIServer) -> None:
    server.respond = lambda _: refusal(400, "your text about hunter2 is not allowed")
    with pytest.raises(Rejected) as refused:
        client.embed(["hunter2"])
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_says_which_variable_to_check(client: OpenAIEmbedder, server: OpenAIServer, status: int) -> None:
    server.respond = lambda _: refusal(status, f"Incorrect API key provided: {KEY}", code="invalid_api_key")
    with pytest.raises(Unavailable, match="OPENAI_API_KEY") as refused:
        client.embed(["text"])
    assert KEY not in str(refused.value)
    assert refused.value.retry_after >= 60


@pytest.mark.parametrize(
    "answer",
    [
        refusal(404, "The model does not exist", code="model_not_found"),
        refusal(400, "This model does not support specifying dimensions."),
        refusal(400, "Invalid value", param="dimensions"),
    ],
    ids=["model", "dimensions refused", "dimensions too large"],
)
def test_a_wrong_model_or_dimension_is_a_setting_not_a_bad_text(
    client: OpenAIEmbedder, server: OpenAIServer, answer: Answer
) -> None:
    server.respond = lambda _: answer
    with pytest.raises(Unavailable, match="OPENAI_EMBEDDING_MODEL"):
        client.embed(["text"])


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({"Retry-After": "17"}, 17),
        ({"Retry-After": "0.2"}, 1),
        ({"Retry-After": "999999999"}, 3600),
        ({"Retry-After": "soon"}, 5),
        ({}, 5),
    ],
    ids=["seconds", "fraction", "years", "words", "none"],
)
def test_a_rate_limit_is_obeyed(
    client: OpenAIEmbedder, server: OpenAIServer, header: dict[str, str], seconds: int
) -> None:
    server.respond = lambda _: Answer(429, {"error": {"message": "slow down"}}, header)
    with pytest.raises(Throttled) as limit:
        client.embed(["text"])
    assert limit.value.retry_after == seconds


def test_a_rate_limit_may_name_a_date(client: OpenAIEmbedder, server: OpenAIServer) -> None:
    header = {"Retry-After": formatdate(time() + 100, usegmt=True)}
    server.respond = lambda _: Answer(429, {"error": {"message": "slow down"}}, header)
    with pytest.raises(Throttled) as limit:
        client.embed(["text"])
    assert 60 <= limit.value.retry_after <= 101


def test_an_empty_account_is_asked_again_much_later(client: OpenAIEmbedder, server: OpenAIServer) -> None:
    server.respond = lambda _: refusal(429, "You exceeded your current quota", code="insufficient_quota")
    with pytest.raises(Throttled, match="billing") as limit:
        client.embed(["text"])
    assert limit.value.retry_after == 3600


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504, 529])
def test_a_failing_server_is_unavailable_and_asked_once(
    client: OpenAIEmbedder, server: OpenAIServer, status: int
) -> None:
    server.respond = lambda _: Answer(status, b"<html>oops</html>", {"Retry-After": "3"})
    with pytest.raises(Unavailable) as failure:
        client.embed(["text"])
    assert failure.value.retry_after == 3
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"embedding": [math.nan] * 48}, "cannot be read"),
        ({"embedding": [math.inf] * 48}, "cannot be read"),
        ({"embedding": [1e308] * 48}, "not finite"),
        ({"embedding": [0.0] * 48}, "zero"),
        ({"embedding": [0.5] * 47}, "OPENAI_EMBEDDING_DIMENSION"),
        ({"embedding": []}, "OPENAI_EMBEDDING_DIMENSION"),
        ({"embedding": [10**400] * 48}, "cannot be read"),
        ({"embedding": ["x"] * 48}, "cannot be read"),
        ({"embedding": None}, "cannot be read"),
        ({"index": None}, "cannot be read"),
        ({"index": 0}, "exactly"),
        ({"index": 7}, "exactly"),
    ],
)
def test_a_wrong_vector_is_never_handed_on(
    client: OpenAIEmbedder, server: OpenAIServer, changes: dict[str, Any], says: str
) -> None:
    server.respond = lambda request: edited(request, **changes)
    with pytest.raises(Unavailable, match=says):
        client.embed(["one", "two"])


def test_vectors_of_another_length_are_told_from_other_faults(client: OpenAIEmbedder, server: OpenAIServer) -> None:
    server.respond = lambda request: well({**request, "dimensions": 64})
    with pytest.raises(WrongLength) as failure:
        client.embed(["text"])
    assert failure.value.retry_after < SETTING_RETRY_SECONDS


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b"{}", b'{"data": 7}', b'{"data": [1]}', b"\xff\xfe", b"[" * 100_000],
)
def test_an_answer_that_is_not_the_apis_is_unavailable(
    client: OpenAIEmbedder, server: OpenAIServer, body: bytes
) -> None:
    server.respond = lambda _: Answer(body=body)
    with pytest.raises(Unavailable, match="cannot be read"):
        client.embed(["text"])


def test_a_missing_vector_is_noticed(client: OpenAIEmbedder, server: OpenAIServer) -> None:
    server.respond = lambda request: Answer(body={"data": well(request).body["data"][1:]})
    with pytest.raises(Unavailable, match="exactly"):
        client.embed(["one", "two"])


def test_half_an_answer_is_unavailable(client: OpenAIEmbedder, server: OpenAIServer) -> None:
    server.respond = lambda request: Answer(body=well(request).body, cut=True)
    with pytest.raises(Unavailable, match="cannot be reached"):
        client.embed(["text"])


def test_a_server_that_says_nothing_is_given_up(server: OpenAIServer) -> None:
    client = OpenAIEmbedder(KEY, server.base_url, "model", 48, timeout=0.2)
    server.respond = lambda _: Answer(hang=True)
    with pytest.raises(Unavailable, match="in time"):
        client.embed(["text"])
    # The server may read what was sent after nobody waits for its answer any more.
    until(lambda: server.requests)
    assert len(server.requests) == 1
    client.close()


def test_a_server_that_is_away_is_unavailable() -> None:
    client = OpenAIEmbedder(KEY, f"http://127.0.0.1:{free_port()}/v1", "model", 48)
    with pytest.raises(Unavailable, match="cannot be reached"):
        client.embed(["text"])
    client.close()


@pytest.mark.parametrize("key", ["sk test", "sk-test\n", "schlüssel", " sk-test"])
def test_a_key_that_cannot_be_one_is_refused_at_start_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="OPENAI_API_KEY") as refused:
        OpenAIEmbedder(key, None, "model", 48)
    assert key.strip() not in str(refused.value)


@pytest.mark.parametrize("url", ["api.openai.com", "ftp://host/v1", "http://"])
def test_a_base_url_that_is_none_is_refused_at_start(url: str) -> None:
    with pytest.raises(ValueError, match="OPENAI_BASE_URL"):
        OpenAIEmbedder(KEY, url, "model", 48)
