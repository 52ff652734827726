"""What the API server refuses: read whatever it looks like, and never passed on as it was said."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import Rejected, Unavailable
from shared.kubernetes.refusals import Refused, away, final, give_up, of

FORBIDDEN = 'jobs.batch is forbidden: User "system:serviceaccount:codex:dispatcher" cannot create resource "jobs"'
QUOTA = 'jobs.batch "codex-1" is forbidden: exceeded quota: jobs, requested: count/jobs=1, used: 5, limited: 5'
WEBHOOK = 'admission webhook "guard.example" denied the request: secret-detail'


@dataclass
class Said:
    """An answer as the client raises it."""

    status: int | None = 422
    reason: str | None = "Unprocessable Entity"
    body: Any = None
    headers: Mapping[str, str] | None = field(default_factory=dict)


def status(message: str = "", reason: str = "Invalid", **more: Any) -> str:
    return json.dumps({"kind": "Status", "message": message, "reason": reason, **more})


def rejection(refused: Refused) -> str:
    with pytest.raises(Rejected) as raised:
        give_up("create", "jobs.batch", "shop", refused)
    return str(raised.value)


# --- read


def test_a_status_is_read() -> None:
    causes = [{"reason": "FieldValueInvalid", "message": "secret-detail", "field": f"spec.f{n}"} for n in range(9)]
    refused = of(Said(body=status("bad", details={"causes": causes}), headers={"Retry-After": "3"}))
    assert (refused.status, refused.reason, str(refused), refused.retry_after) == (422, "Invalid", "bad", 3.0)
    assert refused.fields == ["spec.f0", "spec.f1", "spec.f2", "spec.f3", "spec.f4"]
    assert not refused.passes


@pytest.mark.parametrize(
    "body",
    [
        *[None, "", b"", "not JSON", b"\xff\xfe", "[]", "[1]", "null", "7", '"text"', "{", "[" * 100_000, "{}"],
        *[status(details=details) for details in (None, "text", 7, [], ["a"], True)],
        *[status(details={"causes": causes}) for causes in (None, "text", 7, {}, {"field": "x"}, ["a", 1, None], True)],
        *[status(details={"causes": [{"field": each}]}) for each in (None, "", 7, ["x"], {"a": "b"})],
        status(details={"causes": [{}]}),
        json.dumps({"message": {"a": ["b"]}, "reason": None}),
    ],
    ids=lambda body: str(body)[:60],
)
def test_a_body_of_any_shape_is_an_answer_without_fields(body: Any) -> None:
    refused = of(Said(body=body))
    assert (refused.status, list(refused.fields)) == (422, [])
    assert "()" not in rejection(refused)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["field", "causes", "details", "reason"]), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["message", "reason", "details", "kind", "code"]), JSON), st.text())
def test_nothing_that_a_server_says_breaks_the_reader(said: dict[str, Any], wait: str) -> None:
    refused = of(Said(body=json.dumps(said), headers={"Retry-After": wait}))
    assert all(isinstance(name, str) and 0 < len(name) <= 100 for name in refused.fields)
    assert refused.reason


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("1", 1.0),
        ("0", 0.0),
        ("007", 7.0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("1e9", None),
        ("nan", None),
        ("²", None),
        ("٣", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_only_whole_seconds_say_when_to_ask_again(said: str, expected: float | None) -> None:
    assert of(Said(headers={"Retry-After": said})).retry_after == expected


def test_an_answer_without_headers_does_not_say_when() -> None:
    assert of(Said(headers=None)).retry_after is None


@pytest.mark.parametrize(
    "reason", ["<b>secret-detail</b>", "SSLError\nsecret-detail", "x" * 100, "a:b", "ünique", None, ""]
)
def test_a_reason_that_is_no_word_is_told_as_a_number(reason: str | None) -> None:
    assert of(Said(reason=reason)).reason == "status 422"
    assert of(Said(body=status(reason=reason or ""), reason=reason)).reason == "status 422"


def test_without_a_status_the_servers_own_phrase_is_the_reason() -> None:
    assert of(Said(502, "Bad Gateway", "<html>")).reason == "Bad Gateway"


# --- what passes


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        (Said(400), False),
        (Said(401), True),
        (Said(403, body=status(FORBIDDEN, "Forbidden")), False),
        (Said(403, body=status(QUOTA, "Forbidden")), True),
        (Said(404), False),
        (Said(408), True),
        (Said(409, body=status("", "Conflict")), True),
        (Said(409, body=status("", "AlreadyExists")), False),
        (Said(410), False),
        (Said(422), False),
        (Said(429), True),
        (Said(500), True),
        (Said(503), True),
        (Said(504), True),
        (Said(0, "SSLError\ncertificate has expired"), True),
        (Said(None, None), True),
    ],
    ids=lambda value: f"{value.status}" if isinstance(value, Said) else "",
)
def test_what_may_well_succeed_a_moment_later_is_tried_again(answer: Said, passes: bool) -> None:
    refused = of(answer)
    assert refused.passes is passes
    meaning = final(refused)
    assert isinstance(meaning, Unavailable) is passes
    assert passes or meaning is refused


def test_a_token_that_is_not_known_is_told_apart_from_a_server_that_is_away() -> None:
    unknown, busy = final(of(Said(401))), final(of(Said(503)))
    assert str(unknown) == "the API server does not know the dispatcher's token"
    assert str(busy) == str(away("x")) == "the Kubernetes API server is away or busy"


# --- what is told


def test_a_missing_right_is_named_so_that_it_can_be_granted() -> None:
    told = rejection(of(Said(403, body=status(FORBIDDEN, "Forbidden"))))
    assert told == "the dispatcher may not create jobs.batch in namespace shop: grant its role that verb"


def test_a_webhook_that_forbids_is_no_missing_right() -> None:
    told = rejection(of(Said(403, body=status(WEBHOOK, "Forbidden"))))
    assert told == "the API server refused to create jobs.batch in namespace shop: Forbidden"


def test_what_is_not_there_is_named() -> None:
    assert rejection(of(Said(404, body=status("", "NotFound")))) == "namespace shop does not exist: create it"
    told = rejection(of(Said(404, "Not Found")))
    assert told == "the cluster does not know jobs.batch: install what serves them"


@pytest.mark.parametrize("answer", [Said(403, body=status(FORBIDDEN, "Forbidden")), Said(404, "Not Found")])
def test_what_a_server_says_that_is_not_ready_is_not_final(answer: Said) -> None:
    refused = of(answer)
    refused.certain = False
    with pytest.raises(Unavailable, match=r"grant its role that verb|install what serves them"):
        give_up("create", "jobs.batch", "shop", refused)


def test_the_fields_that_are_wrong_are_named() -> None:
    causes = [{"field": "spec.a", "message": "secret-detail"}, {"field": ""}, {"field": "spec.b[0]"}]
    told = rejection(of(Said(body=status("secret-detail", details={"causes": causes}))))
    assert told == "the API server refused to create jobs.batch in namespace shop: Invalid (spec.a, spec.b[0])"


@pytest.mark.parametrize("code", [0, 400, 401, 403, 404, 409, 422, 429, 500])
@pytest.mark.parametrize("message", ["secret-detail", WEBHOOK, f"{FORBIDDEN} secret-detail", f"{QUOTA} secret-detail"])
def test_no_message_of_the_server_is_passed_on(code: int, message: str) -> None:
    details = {"name": "secret-detail", "kind": "secret-detail", "causes": [{"message": "secret-detail", "field": "f"}]}
    refused = of(Said(code, "secret-detail!", status(message, "secret-detail!", details=details)))
    assert "secret-detail" not in rejection(refused)
    meaning = final(refused)
    assert meaning is refused or "secret-detail" not in str(meaning)


def test_what_is_logged_of_a_message_is_short_and_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        rejection(of(Said(body=status("password=hunter2 " + "x" * 100_000))))
    logged = str([record.__dict__ for record in caplog.records])
    assert "password=[redacted:" in logged
    assert "hunter2" not in logged
    assert len(logged) < 3000
