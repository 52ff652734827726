"""A wrong environment is told at once, by the names of its variables and never by their values."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.runner import RunnerError, Task
from shared.runner.environment import read_environment

TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


@pytest.fixture
def good(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "prompt").write_text("do it")
    (tmp_path / "token").write_text(" secret-token \n")
    return {
        "CODEX_TASK_ID": "0198c5a2",
        "CODEX_ATTEMPT": "2",
        "CODEX_PROMPT_FILE": str(tmp_path / "prompt"),
        "CODEX_CALLBACK_URL": "http://callback.example/v1/codex/tasks/1/",
        "CODEX_CALLBACK_TOKEN_FILE": str(tmp_path / "token"),
        "CODEX_MEMORY_ENDPOINT": "https://memory.example:8443/m",
        "CODEX_DEADLINE": "2026-11-21T09:00:00.123456789Z",
        "TRACEPARENT": TRACE,
    }


def test_a_whole_environment_is_read(good: dict[str, str]) -> None:
    read = read_environment(good)
    assert (read.task_id, read.attempt, read.prompt, read.traceparent) == ("0198c5a2", 2, "do it", TRACE)
    assert read.callback_url == "http://callback.example/v1/codex/tasks/1"
    assert read.deadline == datetime(2026, 11, 21, 9, tzinfo=UTC).timestamp()
    assert read.spool_folder is None


def test_without_a_deadline_there_is_none(good: dict[str, str]) -> None:
    del good["CODEX_DEADLINE"]
    assert read_environment(good).deadline is None


def test_everything_that_is_missing_is_named_in_one_error() -> None:
    with pytest.raises(RunnerError) as raised:
        Task.from_env({})
    names = ("TASK_ID", "ATTEMPT", "PROMPT_FILE", "CALLBACK_URL", "CALLBACK_TOKEN_FILE", "MEMORY_ENDPOINT")
    assert str(raised.value) == "; ".join(f"CODEX_{name} is not set" for name in names)


@pytest.mark.parametrize(
    ("name", "garbled"),
    [
        ("CODEX_TASK_ID", "../../etc/passwd"),
        ("CODEX_ATTEMPT", "0"),
        ("CODEX_ATTEMPT", "one-garbled"),
        ("CODEX_PROMPT_FILE", "/nonexistent/garbled"),
        ("CODEX_CALLBACK_URL", "ftp://garbled/"),
        ("CODEX_CALLBACK_URL", "http://garbled/a\r\nX-Evil: 1"),
        ("CODEX_CALLBACK_URL", "http://garbled:port/"),
        ("CODEX_CALLBACK_URL", "http://[garbled"),
        ("CODEX_MEMORY_ENDPOINT", "garbled"),
        ("CODEX_CALLBACK_TOKEN_FILE", "/nonexistent/garbled"),
        ("CODEX_CALLBACK_TOKEN_FILE", "/dev/null"),
        ("CODEX_DEADLINE", "tomorrow-garbled"),
        ("CODEX_DEADLINE", "2026-13-41T09:00:00Z"),
        ("CODEX_DEADLINE", "2026-11-21T09:00:00"),
    ],
)
def test_a_garbled_variable_is_named_and_not_echoed(good: dict[str, str], name: str, garbled: str) -> None:
    with pytest.raises(RunnerError) as raised:
        read_environment({**good, name: garbled})
    assert str(raised.value).startswith(name)
    assert "garbled" not in str(raised.value)
    assert ";" not in str(raised.value)


@pytest.mark.parametrize("token", ["", "two words", "line\nline", "ünicode", "bell\a"])
def test_a_token_that_no_header_can_carry_is_refused(good: dict[str, str], tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_text(token, "utf-8")
    with pytest.raises(RunnerError, match=r"^CODEX_CALLBACK_TOKEN_FILE does not name a readable file with a token$"):
        read_environment(good)


@pytest.mark.parametrize("trace", ["", "00-x", TRACE.upper(), "ff" + TRACE[2:], TRACE.replace("a", "0"), TRACE + "\n"])
def test_an_invalid_trace_is_left_out(good: dict[str, str], trace: str) -> None:
    assert read_environment({**good, "TRACEPARENT": trace}).traceparent is None


def test_the_representation_shows_neither_prompt_nor_addresses(good: dict[str, str]) -> None:
    shown = repr(read_environment(good))
    assert all(hidden not in shown for hidden in ("do it", "example", "token", "secret"))
