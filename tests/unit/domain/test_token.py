"""API tokens: known by their hash, and refused in the same words whatever is wrong."""

import hashlib
from typing import Any

import pytest

from shared.domain.errors import Forbidden, Unauthenticated
from shared.domain.token import (
    ANONYMOUS,
    Caller,
    check_api_token,
    is_jwt,
    parse_callers,
    parse_service_accounts,
)


def entry(token: str, **more: Any) -> dict[str, Any]:
    sha256 = hashlib.sha256(token.encode()).hexdigest()
    return {"caller": "alice", "sha256": sha256, "scopes": ["tasks:read"]} | more


def test_an_api_token_names_its_caller_and_its_tenant() -> None:
    callers = parse_callers([entry("token"), entry("other", caller="bob", tenant="team", scopes=["memory:read"])])
    assert check_api_token(callers, "token", "tasks:read").name == "alice"
    bob = check_api_token(callers, "other", "memory:read")
    assert (bob.name, bob.tenant) == ("bob", "team")
    assert parse_callers([entry("token")])[0].tenant == "default"
    for token in ("wrong", "", None):
        with pytest.raises(Unauthenticated, match="missing or not valid here"):
            check_api_token(callers, token, "tasks:read")
    with pytest.raises(Forbidden, match="does not have the scope tasks:write"):
        check_api_token(callers, "token", "tasks:write")


def test_the_hash_of_nothing_is_no_token() -> None:
    nothing = Caller("ghost", "default", frozenset({"tasks:read"}), hashlib.sha256(b"").digest())
    for token in ("", None):
        with pytest.raises(Unauthenticated):
            check_api_token([nothing], token, "tasks:read")


@pytest.mark.parametrize(
    "entries",
    [
        None,
        {},
        ["alice"],
        [{}],
        [entry("token", caller="")],
        [entry("token", caller=5)],
        [entry("token", scopes="tasks:read")],
        [entry("token", scopes=["everything"])],
        [entry("token", scopes=[["tasks:read"]])],
        [entry("token", scopes=[None])],
        [entry("token", sha256="AB" * 32)],
        [entry("token", sha256="ab" * 31)],
        [entry("token", tenant="")],
        [entry("token", tenant=None)],
        [entry("token", sha256="clear-text-token")],
        [entry("token"), entry("token", caller="bob")],
        [entry("token", created=None)],
        [entry("token", created="yesterday")],
    ],
    ids=str,
)
def test_a_wrong_list_of_callers_is_refused_without_an_echo(entries: Any) -> None:
    with pytest.raises(ValueError, match=r"^(must be|has) ") as refused:
        parse_callers(entries)
    assert "clear-text-token" not in str(refused.value)


def test_a_caller_without_a_token_of_ours_is_found_by_none() -> None:
    (account,) = parse_service_accounts(
        {"system:serviceaccount:ci:builder": {"caller": "ci", "scopes": ["tasks:write"]}}
    ).values()
    assert (account.name, account.tenant) == ("ci", "default")
    for token in ("", "x", None):
        with pytest.raises(Unauthenticated):
            check_api_token([account, ANONYMOUS], token, "tasks:write")


def test_who_comes_without_a_token_may_bring_tasks_and_nothing_else() -> None:
    assert (ANONYMOUS.name, ANONYMOUS.tenant, ANONYMOUS.scopes) == ("kafka", "default", frozenset({"tasks:write"}))


def test_only_what_looks_like_a_jwt_does() -> None:
    assert is_jwt("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl-_")
    for token in (
        None, "", "eyJ", "eyJh.eyJb", "eyJh.eyJb.", "eyJh.eyJb.c.d", "xeyJh.eyJb.c", "eyJh.eyJb.c\n", "eyJh.ey b.c",
        "fca_x", "fct_1_" + "A" * 43, "eyJh." + "a" * 8200 + ".c", "eyJ\u0661.a.b",
    ):  # fmt: skip
        assert not is_jwt(token)
