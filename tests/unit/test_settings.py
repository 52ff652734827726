"""Settings: every mistake at once, and no value in any message."""

from dataclasses import dataclass
from typing import Any

import pytest

from functions.callback.settings import Settings as CallbackSettings
from functions.memory_query.settings import Settings as MemoryQuerySettings
from shared.setting_values import http_url, integer, json_value, number, secret, text_list
from shared.settings import SettingsError, env, load


@dataclass(frozen=True, kw_only=True)
class Settings:
    url: str = env("TEST_URL", http_url)
    key: str = env("TEST_KEY", secret)
    size: int = env("TEST_SIZE", integer(1, 10), default=5)
    words: tuple[str, ...] = env("TEST_WORDS", text_list, default=("a",))


GOOD = {"TEST_URL": "https://host/path/", "TEST_KEY": "k" * 32}


def test_defaults_apply_where_nothing_or_nothing_but_space_is_set() -> None:
    settings = load(Settings, GOOD | {"TEST_SIZE": "  ", "TEST_WORDS": ""})
    assert (settings.url, settings.size, settings.words) == ("https://host/path", 5, ("a",))


def test_what_is_set_is_read() -> None:
    settings = load(Settings, GOOD | {"TEST_SIZE": " 7 ", "TEST_WORDS": '["codex", "exec"]'})
    assert (settings.size, settings.words) == (7, ("codex", "exec"))


def test_every_mistake_is_named_at_once_and_no_value_is_shown() -> None:
    wrong = {"TEST_KEY": "too-short-secret", "TEST_SIZE": "eleven-echo", "TEST_WORDS": '{"echo": 1}'}
    with pytest.raises(SettingsError) as refused:
        load(Settings, wrong)
    said = str(refused.value)
    assert [name for name in ("TEST_URL", "TEST_KEY", "TEST_SIZE", "TEST_WORDS") if name in said] == [
        "TEST_URL",
        "TEST_KEY",
        "TEST_SIZE",
        "TEST_WORDS",
    ]
    assert "TEST_URL is not set" in said
    assert "echo" not in said
    assert "too-short-secret" not in said


def test_no_value_is_in_a_repr() -> None:
    assert "k" * 32 not in repr(load(Settings, GOOD))


@pytest.mark.parametrize("raw", ["host", "ftp://host", "http://", "http:///x", "http://a b", "javascript:alert(1)"])
def test_what_is_no_address_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="http"):
        http_url(raw)


@pytest.mark.parametrize("raw", ["0", "11", "1.0", "", "x", "1_0", "\u0667", "9" * 30])
def test_what_is_no_number_in_bounds_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="from 1 to 10"):
        integer(1, 10)(raw)


@pytest.mark.parametrize("raw", ["0.51", "-0.1", "1", ".1", "1e-1", "", "x", "nan", "0.1 ", "\u0660"])
def test_what_is_no_decimal_number_in_bounds_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match=r"from 0 to 0\.5"):
        number(0, 0.5)(raw)


def test_decimal_numbers_are_read_up_to_their_bounds() -> None:
    assert [number(0, 0.5)(raw) for raw in ("0", "0.125", "0.5", "0.50")] == [0, 0.125, 0.5, 0.5]


@pytest.mark.parametrize("raw", ["[]", "[1]", '"text"', "{}", "not json"])
def test_what_is_no_list_of_texts_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        text_list(raw)


def test_json_is_read_whatever_its_shape() -> None:
    values: list[Any] = [{"a": [1, None]}, [], "x"]
    assert [json_value(raw) for raw in ('{"a": [1, null]}', "[]", '"x"')] == values


@pytest.mark.parametrize("raw", ["localhost:6379", "http://localhost", "redis://", "nonsense"])
def test_a_redis_address_that_is_none_fails_the_start(raw: str) -> None:
    with pytest.raises(SettingsError, match="FACTEUR_REDIS_URL must be a URL"):
        load(MemoryQuerySettings, {"FACTEUR_REDIS_URL": raw})


def test_the_environment_of_the_process_is_read_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTEUR_POSTGRES_DSN", "postgresql://user:a-password@host/db")
    monkeypatch.delenv("K_SINK", raising=False)
    with pytest.raises(SettingsError, match="K_SINK is not set") as refused:
        load(CallbackSettings)
    assert "a-password" not in str(refused.value)
