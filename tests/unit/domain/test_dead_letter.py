"""What a dead letter says of its cause, whatever the broker and the subscriber put into it."""

import base64
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.domain.dead_letter import DeadLetter, decoded

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def letter(data: str | bytes | None = None, reason: str | None = None) -> DeadLetter:
    return DeadLetter(
        id=UUID(int=1),
        state="waiting",
        source="/s",
        event_id="1",
        type="some.type",
        subject=None,
        destination="http://somewhere",
        error_code="422",
        error_data=base64.b64encode(data).decode() if isinstance(data, bytes) else data,
        reason=reason,
        times_seen=1,
        first_seen_at=NOW,
        last_seen_at=NOW,
        times_redriven=0,
        redriven_at=None,
    )


@pytest.mark.parametrize(
    ("error_data", "text"),
    [
        ("bm8=", "no"),
        ("", ""),
        (base64.b64encode("größer".encode()).decode(), "größer"),
        (base64.b64encode("größer".encode()[:3]).decode(), "gr"),  # cut inside of a character
        ("bm8gd29yZHMgbG", "no words "),  # cut inside of a group
        ("no base64, this", "no base64, this"),
        ("////", "////"),  # base64 of what is no text
        ("bm8=bm8=", "bm8=bm8="),
        ("grün", "grün"),
        ("\x1b[2J", "\x1b[2J"),
    ],
)
def test_the_answer_is_decoded_as_far_as_it_is_text(error_data: str, text: str) -> None:
    assert decoded(error_data) == text


def test_an_answer_is_bounded_and_without_credentials() -> None:
    assert letter(b"x" * 5000).answer == "x" * 1024
    assert len(letter("!" * 1_000_000).answer) == 1024
    secret = b'{"password": "hunter2-hunter2", "detail": "token ghp_' + b"a" * 36 + b' is wrong"}'
    for text in (letter(secret).answer, letter(secret).cause):
        assert "hunter2" not in text and "ghp_" not in text and "[redacted:" in text


@pytest.mark.parametrize(
    ("data", "reason", "cause"),
    [
        (b'{"detail": "the body does not fit"}', None, "the body does not fit"),
        (b'{"detail": 5}', None, '{"detail": 5}'),
        (b"[]", None, "[]"),
        (b"[" * 700, None, "[" * 700),
        (b"plain words", None, "plain words"),
        (b"an answer", "our reason", "our reason"),
        (None, None, ""),
    ],
)
def test_the_cause_is_the_best_that_anybody_said(data: bytes | None, reason: str | None, cause: str) -> None:
    assert letter(data, reason).cause == cause


def test_a_problem_that_was_cut_is_its_own_cause() -> None:
    cut = json.dumps({"title": "no", "detail": "x" * 2000}).encode()[:768]
    assert letter(cut).cause == cut.decode()
