"""Names of artifacts are said by containers, keys are not."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.artifact import bare_name, disposition, key
from shared.domain.errors import Rejected

TASK = UUID("11111111-2222-4333-8444-555555555555")


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("report.txt", "report.txt"),
        ("../../../etc/cron.d/evil", "evil"),
        ("C:\\Users\\me\\notes.md", "notes.md"),
        ("..\\../a/..b", "..b"),
        ("🦊 émoji.txt", "🦊 émoji.txt"),
        ("👩‍👩‍👧.png", "👩‍👩‍👧.png"),
        (" padded ", "padded"),
        ("log of ghp_" + "a1B2" * 9 + ".txt", "log of [redacted:"),
    ],
)
def test_a_name_is_that_of_a_file_without_folders_and_credentials(said: str, name: str) -> None:
    assert bare_name(said).startswith(name)
    assert bare_name(bare_name(said)) == bare_name(said)


@pytest.mark.parametrize(
    "said", ["", " ", ".", "..", "a/", "a/..", "..\\", "nul\x00", "line\nbreak", "esc\x1b[2J", "c1\x9b", "u\u2028"]
)
def test_what_no_file_can_be_named_is_refused(said: str) -> None:
    with pytest.raises(Rejected):
        bare_name(said)


@given(st.text())
def test_no_name_leads_anywhere_and_none_breaks_a_header(said: str) -> None:
    try:
        name = bare_name(said)
    except Rejected:
        return
    assert "/" not in name
    assert "\\" not in name
    assert name not in ("", ".", "..")
    try:
        header = disposition(name)
    except UnicodeEncodeError:  # a lone surrogate, which no body can bring
        return
    plain, _, encoded = header.removeprefix('attachment; filename="').partition("\"; filename*=UTF-8''")
    assert re.fullmatch(r"[A-Za-z0-9._ -]+", plain)
    assert re.fullmatch(r"(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})+", encoded)


def test_a_key_is_made_of_ids_alone() -> None:
    assert key(TASK, 2, UUID(int=7)) == f"tasks/{TASK}/2/00000000-0000-0000-0000-000000000007"
