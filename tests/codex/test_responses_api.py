"""The scripted model: it answers as the Responses API does, and takes no request for anything else."""

import json
from typing import Any

import pytest
import urllib3

from tests.codex.responses_api import (
    API_KEY,
    Answers,
    BreaksOff,
    Fails,
    Json,
    Model,
    Refuses,
    Usage,
    message,
    model_of,
    shell,
)

QUESTION: Json = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Well?"}]}


def ask(asked: Model, key: str = API_KEY, **changes: Any) -> urllib3.BaseHTTPResponse:
    body = {"model": "m", "stream": True, "input": [QUESTION], **changes}
    headers = {"Authorization": f"Bearer {key}"}
    return urllib3.request("POST", f"{asked.url}/responses", json=body, headers=headers, retries=False)


def events(answer: urllib3.BaseHTTPResponse) -> list[Json]:
    assert answer.headers["Content-Type"] == "text/event-stream"
    return [json.loads(part.partition("data: ")[2]) for part in answer.data.decode().split("\n\n") if part]


def test_a_script_is_followed_request_by_request_and_stays_at_its_end() -> None:
    call = shell("ls")
    with model_of(Answers([call]), Answers([message("Well.")], Usage(7, 3, 2, 1))) as model:
        first, *later = (events(ask(model)) for _ in range(3))
        assert [event["type"] for event in first][1:3] == ["response.output_item.added", "response.output_item.done"]
        assert first[2]["item"] == call
        for told in later:
            assert told[2]["item"]["content"][0]["text"] == "Well."
            assert told[-1]["response"]["usage"]["total_tokens"] == 9
        assert (len(model.requests), model.prompt, model.faults) == (3, "Well?", [])


def test_faults_are_those_of_the_api() -> None:
    with model_of(Refuses(429, "not now", retry_after=3), Fails("broken"), BreaksOff([message("Well")])) as model:
        refused = ask(model)
        assert (refused.status, refused.headers["Retry-After"], refused.json()["error"]["message"]) == (
            429,
            "3",
            "not now",
        )
        assert events(ask(model))[-1]["response"]["error"] == {"code": "server_error", "message": "broken"}
        assert [event["type"] for event in events(ask(model))][-1] == "response.output_item.done"


WRONG: dict[str, Json] = {
    "no stream": {"stream": False},
    "no model": {"model": ""},
    "no input": {"input": []},
    "an input without types": {"input": ["text"]},
    "a call without its output": {"input": [QUESTION, shell("ls")]},
    "an output without its call": {"input": [QUESTION, {"type": "function_call_output", "call_id": "1"}]},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_request_to_the_api_is_refused_and_kept_for_the_test(wrong: str) -> None:
    with model_of(Answers([message("Well.")])) as model:
        assert ask(model, **WRONG[wrong]).status == 400
        assert (len(model.requests), len(model.faults)) == (0, 1)


def test_another_key_is_refused() -> None:
    with model_of(Answers([message("Well.")])) as model:
        assert ask(model, key="another").status == 400
        assert model.faults == ["the key is wrong"]


def test_another_path_is_refused() -> None:
    with model_of(Answers([message("Well.")])) as model:
        assert urllib3.request("GET", f"{model.url}/models", retries=False).status == 400
        assert model.faults == ["GET /v1/models is no request for a response"]
