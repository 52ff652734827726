"""The file of API tokens: read anew when it changes, replaced whole, and closed rather than open."""

import json
import logging
import stat
from pathlib import Path
from typing import Any

import pytest

from shared.domain.errors import Unavailable
from shared.domain.token import find_caller, token_sha256
from shared.settings import SettingsError, load
from shared.token_file import TokenFile, changed, read
from shared.web.caller_settings import CallerSettings


def entry(token: str, caller: str = "alice", **more: Any) -> dict[str, Any]:
    return {"caller": caller, "sha256": token_sha256(token).hex(), "scopes": ["tasks:read"]} | more


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps([entry("first")]))
    return path


def known(file: TokenFile, token: str) -> bool:
    return find_caller(file.callers(), token) is not None


def test_what_changes_counts_at_once(path: Path) -> None:
    file = TokenFile(path)
    assert known(file, "first")
    with changed(path) as entries:
        entries.append(entry("second", created="2026-11-23T10:00:00Z"))
    assert known(file, "second")
    with changed(path) as entries:
        del entries[0]
    assert not known(file, "first")
    assert known(file, "second")


def test_a_list_that_is_swapped_by_a_link_counts_at_once(tmp_path: Path, path: Path) -> None:
    """As Kubernetes renews a mounted Secret: the name stays, what it leads to is another folder."""
    for version, token in (("v1", "first"), ("v2", "second")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "tokens.json").write_text(json.dumps([entry(token)]))
    data, new = tmp_path / "..data", tmp_path / "..data_tmp"
    data.symlink_to("v1")
    file = TokenFile(data / "tokens.json")
    assert known(file, "first")
    new.symlink_to("v2")
    new.replace(data)
    assert (known(file, "first"), known(file, "second")) == (False, True)


@pytest.mark.parametrize(
    "wrong", ["", "[", "{}", '["secret"]', '[{"caller": "secret"}]', "[" * 100_000, '"\\ud800"', "x" * 1_100_000]
)
def test_while_it_is_wrong_the_last_good_one_counts_and_is_logged_once(
    path: Path, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = TokenFile(path)
    assert known(file, "first")
    path.write_text(wrong)
    with caplog.at_level(logging.WARNING):
        assert all(known(file, "first") for _ in range(3))
        path.unlink()
        assert all(known(file, "first") for _ in range(3))
    assert len(caplog.records) == 2
    assert "secret" not in str([record.__dict__ for record in caplog.records])
    path.write_text(json.dumps([entry("second")]))
    assert (known(file, "first"), known(file, "second")) == (False, True)


def test_before_it_could_be_read_nobody_is_told_apart(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "none")
    with pytest.raises(Unavailable):
        file.callers()
    (tmp_path / "none").write_text("[]")
    assert file.callers() == ()


def test_the_file_is_for_its_owner_alone_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    with changed(path) as entries:
        entries.append(entry("token"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(found.name for found in tmp_path.iterdir()) == ["new.json", "new.json.lock"]
    assert read(path)[0]["caller"] == "alice"


def test_a_change_that_fails_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(ValueError, match="scopes"), changed(path) as entries:
        entries.append(entry("token", scopes=["everything"]))
    with pytest.raises(ValueError, match="twice"), changed(path) as entries:
        entries.append(entry("first"))
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 2


# --- who may call, as settings

ACCOUNT = "system:serviceaccount:ci:builder"


def test_one_source_of_callers_is_enough_and_none_is_a_mistake(path: Path) -> None:
    accounts = json.dumps({ACCOUNT: {"caller": "ci", "scopes": ["tasks:write"], "tenant": "team"}})
    assert load(CallerSettings, {"FACTEUR_API_TOKENS": "[]"}).api_tokens == ()
    assert load(CallerSettings, {"FACTEUR_API_TOKENS_FILE": str(path)}).api_tokens_file == path
    reviewed = load(CallerSettings, {"FACTEUR_TOKEN_REVIEW_CALLERS": accounts}).token_review_callers
    assert reviewed is not None
    assert (reviewed[ACCOUNT].name, reviewed[ACCOUNT].tenant) == ("ci", "team")
    with pytest.raises(SettingsError, match="one of them must say who may call") as refused:
        load(CallerSettings, {})
    assert len(refused.value.mistakes) == 1


@pytest.mark.parametrize(
    "accounts",
    [
        [],
        {},
        {"builder": {"caller": "ci", "scopes": ["tasks:write"]}},
        {"system:serviceaccount:ci": {"caller": "ci", "scopes": ["tasks:write"]}},
        {"system:serviceaccount:ci:*": {"caller": "ci", "scopes": ["tasks:write"]}},
        {"system:node:secret": {"caller": "ci", "scopes": ["tasks:write"]}},
        {ACCOUNT: {"caller": "ci", "scopes": ["secret"]}},
        {ACCOUNT: {"caller": "ci", "scopes": ["tasks:write"], "sha256": "ab" * 32}},
        {ACCOUNT: {"scopes": ["tasks:write"]}},
        {ACCOUNT: "secret"},
    ],
    ids=str,
)
def test_service_accounts_that_are_none_are_refused(accounts: Any) -> None:
    with pytest.raises(SettingsError, match=r"FACTEUR_TOKEN_REVIEW_CALLERS (must be|has) ") as refused:
        load(CallerSettings, {"FACTEUR_TOKEN_REVIEW_CALLERS": json.dumps(accounts)})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1", "http://127.0.0.1.evil.test", "http://localhost.evil.test:80", "ftp://x", "host"]
)
def test_tokens_travel_by_tls_or_not_at_all(url: str) -> None:
    with pytest.raises(SettingsError, match="FACTEUR_KUBERNETES_API_URL must be a URL"):
        load(CallerSettings, {"FACTEUR_API_TOKENS": "[]", "FACTEUR_KUBERNETES_API_URL": url})


def test_a_token_file_that_cannot_be_used_fails_the_start(tmp_path: Path) -> None:
    for content, reason in (
        (None, "cannot be read: no such file"),
        ("x", "must be JSON"),
        ("{}", "must be a JSON list"),
    ):
        path = tmp_path / "secret-name"
        if content:
            path.write_text(content)
        with pytest.raises(SettingsError) as refused:
            load(CallerSettings, {"FACTEUR_API_TOKENS_FILE": str(path)})
        assert str(refused.value).startswith(f"FACTEUR_API_TOKENS_FILE names a file that cannot be used: it {reason}")
        assert "secret" not in str(refused.value)
