"""Nobody is told anything without the right token."""

import json

import pytest

from tests.e2e.conftest import Done
from tests.e2e.system import System
from tests.e2e.target import Door

WRONG = {"none": "", "unknown": "fca_" + "x" * 43, "unknown task token": "fct_1_" + "x" * 43}
ASKED = {
    "submit": ("POST", "/v1/codex/tasks"),
    "deliver": ("POST", "/codex/tasks"),
    "list": ("GET", "/v1/codex/tasks"),
    "show": ("GET", "/v1/codex/tasks/{id}"),
    "timeline": ("GET", "/v1/codex/tasks/{id}/timeline"),
    "cancel": ("POST", "/v1/codex/tasks/{id}/cancel"),
}


@pytest.mark.parametrize("token", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(("method", "path"), ASKED.values(), ids=ASKED)
def test_a_wrong_token_is_refused(system: System, first: Done, token: str, method: str, path: str) -> None:
    stranger = system.known_by(token)
    body = json.dumps({"prompt": "Let me in"}).encode()
    path = path.replace("{id}", first.id)
    intake = system.target.intake
    answer = stranger.post(intake, path, body) if method == "POST" else stranger.get(intake, path)
    assert answer.status == 401
    assert first.word.encode() not in answer.data


@pytest.mark.parametrize("token", WRONG.values(), ids=WRONG)
def test_memory_tells_nothing_to_a_wrong_token(system: System, memory: Door, first: Done, token: str) -> None:
    answer = system.known_by(token).ask(memory, first.id, first.word)
    assert answer.status == 401
    assert first.word.encode() not in answer.data


def test_the_token_of_one_task_opens_no_other(system: System, memory: Door, key: str, first: Done) -> None:
    own = system.submit("Say hello", f"{key}-token").json()
    container = system.known_by(own["callback"]["token"])
    assert container.ask(memory, first.id, first.word).status == 401
    assert container.get(system.target.intake, f"/v1/codex/tasks/{first.id}").status == 401
