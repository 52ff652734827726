"""What is reported holds no secret and nothing that cannot be stored, and tokens are narrowed as the server does it."""

from pathlib import Path
from typing import Any

import pytest

from shared.domain.task_token import Scope, narrow
from shared.runner.content import MAX_TEXT, Mask, cut_inside, sayable
from shared.runner.errors import RunnerError
from shared.runner.token import READING, narrowed
from shared.runner.wrapping.surroundings import secrets_in

TOKEN = "fct_12_" + "Ab-_" * 10 + "xyz"


@pytest.fixture
def mask(tmp_path: Path) -> Mask:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    return Mask(file)


def test_a_token_is_narrowed_as_the_server_narrows_it() -> None:
    assert narrowed(TOKEN, READING) == narrow(TOKEN, [Scope.TASK, Scope.MEMORY])
    assert narrowed(TOKEN, ["task", "memory"]) == narrowed(TOKEN, ["memory", "task"]) != narrowed(TOKEN, ["task"])


def test_tokens_and_secrets_are_replaced_wherever_they_stand(mask: Mask) -> None:
    mask.add('say "friend"')
    mask.add("friend")
    content = {f"{TOKEN}": [narrowed(TOKEN, READING), 'say "friend"', {"a": "friend"}], "n": 1, "x": None}
    assert sayable(content, mask) == {"[token]": ["[token]", "[secret]", {"a": "[secret]"}], "n": 1, "x": None}
    assert mask.raw(b'{"a": "say \\"friend\\""} ' + TOKEN.encode()) == b'{"a": "[secret]"} [token]'


def test_a_token_that_is_rotated_or_gone_is_still_replaced(mask: Mask, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("other_token")
    assert mask.text("my other_token") == "my [token]"
    (tmp_path / "token").unlink()
    assert mask.text("my other_token") == "my [token]"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a\x00b\ud800", "a\ufffdb?"),
        (("a", 1), ["a", 1]),
        ({1: True}, {"1": True}),
        (float("nan"), "nan"),
        (b"x", "b'x'"),
        ("x" * (MAX_TEXT + 1), "x" * MAX_TEXT + f"… (cut; {MAX_TEXT + 1} characters in all)"),
    ],
)
def test_what_cannot_be_stored_is_made_so_that_it_can(mask: Mask, content: Any, told: Any) -> None:
    assert sayable(content, mask) == told


def test_what_is_nested_too_deeply_is_refused(mask: Mask) -> None:
    content: Any = "x"
    for _ in range(40):
        content = [content]
    with pytest.raises(RunnerError, match="nested too deeply"):
        sayable(content, mask)


def test_a_cut_inside_keeps_both_ends() -> None:
    assert cut_inside("abcdefghij", 10) == "abcdefghij"
    assert cut_inside("abcdefghijk", 8) == "ab\n… (3 characters are cut out here) …\nfghijk"


def test_secrets_of_the_environment_are_known_by_their_names() -> None:
    environ = {
        "MODEL_API_KEY": "k" * 20,
        "GITHUB_TOKEN": "t" * 20,
        "password": "p" * 20,
        "SHORT_KEY": "abc",
        "TOKEN_FILE": "/path/to/it",
        "MONKEY": "long enough",
    }
    assert secrets_in(environ) == ["k" * 20, "t" * 20, "p" * 20]
