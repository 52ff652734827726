"""What every store of artifacts promises: a link is good for one thing, and what is there is what was promised."""

import time

import pytest

from shared.domain.artifact import LINK_SECONDS, Link, Piece, Upload
from shared.domain.errors import NotFound, Rejected
from tests.contract.artifacts.conftest import Place, piece, upload

CONTENT = b"--- a\n+++ b\n" * 1000
KINDS = "text/x-diff; charset=utf-8"


def promised(place: Place, content: bytes = CONTENT) -> tuple[str, Link]:
    """A key and where to PUT its content."""
    where = upload(content).key
    return where, place.links.upload(where, piece(content), KINDS, time.time())


def digest(place: Place, where: str) -> Piece | None:
    try:
        return Piece(*place.store.digest(where))
    except NotFound:
        return None


def in_parts(place: Place, content: bytes, *sizes: int) -> Upload:
    """An upload whose parts have been sent."""
    wanted = upload(content, len(sizes))
    for number, where in enumerate(wanted.part_keys):
        offset = sum(sizes[:number])
        part = content[offset : offset + sizes[number]]
        link = place.links.upload(where, piece(part), wanted.content_type, time.time())
        assert place.put(link, part) in (200, 204)
    return wanted


def test_what_was_promised_can_be_sent_and_sent_again(place: Place) -> None:
    where, link = promised(place)
    assert digest(place, where) is None
    for _ in range(2):
        assert place.put(link, CONTENT) in (200, 204)
        assert digest(place, where) == piece(CONTENT)


def test_nothing_is_something_too(place: Place) -> None:
    where, link = promised(place, b"")
    assert place.put(link, b"") in (200, 204)
    assert digest(place, where) == piece(b"")


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", b"", CONTENT[:-1] + b"x"], ids=len)
def test_other_bytes_are_refused(place: Place, content: bytes) -> None:
    where, link = promised(place)
    assert 400 <= place.put(link, content) < 500
    assert digest(place, where) is None


def test_what_is_there_cannot_be_exchanged_for_something_else(place: Place) -> None:
    where, link = promised(place)
    place.put(link, CONTENT)
    assert 400 <= place.put(link, CONTENT[:-1] + b"x") < 500
    assert digest(place, where) == piece(CONTENT)


def test_another_type_is_refused(place: Place) -> None:
    where, link = promised(place)
    for wrong in ({**link.headers, "Content-Type": "text/html"}, {}):
        assert 400 <= place.put(link, CONTENT, wrong) < 500
    assert digest(place, where) is None


def test_a_link_is_good_for_its_own_key_alone(place: Place) -> None:
    where, link = promised(place)
    other, _ = promised(place)
    assert 400 <= place.put(Link(link.url.replace(where, other), link.headers, 0), CONTENT) < 500
    assert digest(place, other) is None


def test_a_link_that_has_expired_is_refused(place: Place) -> None:
    where = upload(CONTENT).key
    old = place.links.upload(where, piece(CONTENT), KINDS, time.time() - LINK_SECONDS - 5)
    assert old.expires < time.time()
    assert 400 <= place.put(old, CONTENT) < 500
    assert digest(place, where) is None


def test_a_link_for_reading_writes_nothing_and_one_for_writing_reads_nothing(place: Place) -> None:
    where, link = promised(place)
    assert place.put(link, CONTENT) in (200, 204)
    assert 400 <= place.get(link.url).status < 500
    shown = place.links.download(where, "a.diff", KINDS, time.time())
    assert 400 <= place.put(Link(shown, link.headers, 0), b"other") < 500
    assert digest(place, where) == piece(CONTENT)


@pytest.mark.parametrize("name", ["a.diff", 'quo"ted; x=y', "émoji 🦊.txt", "a&b=c#d?e%2F"])
def test_a_download_has_the_type_and_the_name_of_the_artifact_and_is_not_shown(place: Place, name: str) -> None:
    where, link = promised(place)
    place.put(link, CONTENT)
    answer = place.get(place.links.download(where, name, KINDS, time.time()))
    assert (answer.status, answer.data) == (200, CONTENT)
    assert answer.headers["Content-Type"] == KINDS
    kind, _, parameters = answer.headers["Content-Disposition"].partition("; ")
    assert kind == "attachment"
    assert parameters.endswith("filename*=UTF-8''" + "".join(_quoted(name)))


def _quoted(name: str) -> list[str]:
    plain = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
    return [one if one in plain else "".join(f"%{byte:02X}" for byte in one.encode()) for one in name]


def test_a_link_for_reading_ends_too_and_is_good_for_nothing_else(place: Place) -> None:
    where, link = promised(place)
    place.put(link, CONTENT)
    old = place.links.download(where, "a.diff", KINDS, time.time() - LINK_SECONDS - 5)
    live = place.links.download(where, "a.diff", "text/x-diff", time.time())
    assert place.get(live).status == 200
    for wrong in (old, live.replace("a.diff", "a.html"), live.replace("x-diff", "html"), live.replace(where, "tasks")):
        assert wrong != live
        assert 400 <= place.get(wrong).status < 500


def test_parts_are_put_together_once_and_again(place: Place) -> None:
    wanted = in_parts(place, CONTENT, 5000, 5000, len(CONTENT) - 10_000)
    for _ in range(2):
        place.store.join(wanted)
        assert digest(place, wanted.key) == piece(CONTENT)
    place.store.delete(wanted.part_keys)
    assert [digest(place, part) for part in wanted.part_keys] == [None] * 3
    assert digest(place, wanted.key) == piece(CONTENT)


def test_a_part_that_is_missing_is_told_and_nothing_is_made(place: Place) -> None:
    wanted = in_parts(place, CONTENT, 6000, len(CONTENT) - 6000)
    place.store.delete(wanted.part_keys[1:])
    with pytest.raises(NotFound):
        place.store.join(wanted)
    assert digest(place, wanted.key) is None


@pytest.mark.parametrize("sent", [CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x"], ids=len)
def test_parts_that_do_not_make_what_was_promised_are_refused(place: Place, sent: bytes) -> None:
    made = in_parts(place, sent, 6000, len(sent) - 6000)
    whole = piece(CONTENT)
    wanted = Upload(made.id, made.name, whole.size, whole.sha256, made.content_type, made.key, made.parts)
    with pytest.raises(Rejected):
        place.store.join(wanted)
    assert digest(place, wanted.key) is None


def test_taking_away_may_be_repeated(place: Place) -> None:
    where, link = promised(place)
    place.put(link, CONTENT)
    other, link = promised(place)
    place.put(link, CONTENT)
    for _ in range(2):
        place.store.delete([where, f"{where}.1"])
        assert (digest(place, where), digest(place, other)) == (None, piece(CONTENT))
    place.store.delete([])


def test_tidying_up_leaves_what_is_whole(place: Place) -> None:
    where, link = promised(place)
    place.put(link, CONTENT)
    place.store.tidy(0)
    assert digest(place, where) == piece(CONTENT)


def test_the_lasting_name_holds_no_secret(place: Place) -> None:
    where = upload(CONTENT).key
    scheme, _, rest = place.store.uri(where).partition("://")
    assert scheme in ("file", "s3")
    assert rest.endswith(f"/{where}")
    assert "?" not in rest
