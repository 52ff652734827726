"""The callback's use cases of files: promised, verified, kept, and cleared away."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from functions.callback.keep import Keep
from functions.callback.sweep import MOST, Sweep
from shared.domain.artifact import LINK_SECONDS, MAX_PART, Link, Piece, Upload
from shared.domain.errors import Conflict, NotFound, Rejected, Unavailable
from tests.contract.stores.conftest import Stores

CONTENT = b"1234567890"


def piece(content: bytes) -> Piece:
    return Piece(len(content), hashlib.sha256(content).hexdigest())


@dataclass
class Files:
    """A store of bytes by key, and its links."""

    content: dict[str, bytes] = field(default_factory=dict)
    joined: list[str] = field(default_factory=list)
    away: bool = False
    tidied: int = 0

    def upload(self, key: str, piece: Piece, content_type: str, now: float) -> Link:
        return Link(f"http://store/{key}", {"Content-Type": content_type}, int(now) + LINK_SECONDS)

    def digest(self, key: str) -> tuple[int, str]:
        if key not in self.content:
            raise NotFound("nothing was uploaded here")
        return len(self.content[key]), hashlib.sha256(self.content[key]).hexdigest()

    def join(self, upload: Upload) -> None:
        if any(key not in self.content for key in upload.part_keys):
            raise NotFound("not everything was uploaded")
        whole = b"".join(self.content[key] for key in upload.part_keys)
        if piece(whole) != Piece(upload.size, upload.sha256):
            raise Rejected("these are not the parts that were promised")
        self.content[upload.key] = whole
        self.joined.append(upload.key)

    def delete(self, keys: Sequence[str]) -> None:
        if self.away:
            raise Unavailable("the store is away")
        for key in keys:
            self.content.pop(key, None)

    def tidy(self, age_seconds: float) -> None:
        self.tidied += 1

    def uri(self, key: str) -> str:
        return f"file:///artifacts/{key}"

    def put(self, link: Link, content: bytes) -> None:
        self.content[link.url.removeprefix("http://store/")] = content


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def keep(stores: Stores, files: Files) -> Keep:
    return Keep(stores.uploads, files, files, lambda: 1000.9)


@pytest.fixture
def task(stores: Stores) -> UUID:
    task = stores.accept().run_id
    stores.launch(task)
    return task


def begun(
    keep: Keep, task: UUID, content: bytes = CONTENT, name: str = "a.txt", parts: Sequence[bytes] = ()
) -> tuple[UUID, list[Link]]:
    return keep.begin(task, 1, name, piece(content), "text/plain", [piece(part) for part in parts])


def test_a_file_is_kept_once_it_is_what_was_promised(keep: Keep, files: Files, task: UUID) -> None:
    artifact, (link,) = begun(keep, task)
    assert begun(keep, task) == (artifact, [link])
    assert link == Link(f"http://store/tasks/{task}/1/{artifact}", {"Content-Type": "text/plain"}, 1900)
    assert begun(keep, task, name="b.txt")[0] != artifact
    with pytest.raises(NotFound):
        keep.commit(task, 1, artifact)
    files.put(link, b"0987654321")
    with pytest.raises(Rejected):
        keep.commit(task, 1, artifact)
    files.put(link, CONTENT)
    assert keep.commit(task, 1, artifact) == keep.commit(task, 1, artifact)
    with pytest.raises(NotFound):
        keep.commit(task, 1, uuid4())
    with pytest.raises(Conflict):
        keep.commit(task, 2, artifact)


def test_parts_become_one_file_and_are_gone(keep: Keep, files: Files, task: UUID) -> None:
    parts = (b"1234", b"5678", b"90")
    artifact, links = begun(keep, task, parts=parts)
    key = f"tasks/{task}/1/{artifact}"
    assert [link.url for link in links] == [f"http://store/{key}.{number}" for number in (1, 2, 3)]
    for link, part in zip(links[:2], parts[:2], strict=True):
        files.put(link, part)
    with pytest.raises(NotFound):
        keep.commit(task, 1, artifact)
    files.put(links[2], b"91")
    with pytest.raises(Rejected):
        keep.commit(task, 1, artifact)
    files.put(links[2], parts[2])
    first = keep.commit(task, 1, artifact)
    assert files.content == {key: CONTENT}
    assert keep.commit(task, 1, artifact) == first
    assert files.joined == [key]


def test_a_commit_that_was_cut_off_anywhere_is_finished_by_the_next(keep: Keep, files: Files, task: UUID) -> None:
    parts = (b"12345", b"67890")
    artifact, links = begun(keep, task, parts=parts)
    for link, part in zip(links, parts, strict=True):
        files.put(link, part)
    files.away = True
    with pytest.raises(Unavailable):
        keep.commit(task, 1, artifact)
    assert len(files.content) == 3, "put together, and not cleared up"
    files.away = False
    keep.commit(task, 1, artifact)
    assert files.content == {f"tasks/{task}/1/{artifact}": CONTENT}
    assert len(files.joined) == 1


def test_another_division_is_another_upload(keep: Keep, task: UUID) -> None:
    whole, _ = begun(keep, task)
    two, _ = begun(keep, task, parts=(b"12345", b"67890"))
    three, _ = begun(keep, task, parts=(b"1234", b"5678", b"90"))
    assert len({whole, two, three}) == 3


def test_parts_must_add_up_and_a_large_file_needs_them(keep: Keep, task: UUID) -> None:
    with pytest.raises(Rejected):
        begun(keep, task, parts=(b"12345", b"6789"))
    large = Piece(MAX_PART + 1, "ab" * 32)
    with pytest.raises(Rejected):
        keep.begin(task, 1, "a.txt", large, "text/plain", [])
    _, links = keep.begin(task, 1, "a.txt", large, "text/plain", [Piece(MAX_PART, "ab" * 32), Piece(1, "cd" * 32)])
    assert len(links) == 2


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\..\\boot.ini", "/etc/shadow", "🦊" * 60, "a" * 255])
def test_no_name_changes_where_a_file_goes(keep: Keep, task: UUID, name: str) -> None:
    artifact, (link,) = begun(keep, task, name=name)
    assert link.url == f"http://store/tasks/{task}/1/{artifact}"


def test_what_was_never_committed_is_taken_away_and_the_rest_stays(
    keep: Keep, files: Files, stores: Stores, task: UUID
) -> None:
    kept, (link,) = begun(keep, task)
    files.put(link, CONTENT)
    keep.commit(task, 1, kept)
    left, (link,) = begun(keep, task, name="b.txt")
    files.put(link, CONTENT)
    parts, links = begun(keep, task, name="c.txt", parts=(b"12345", b"67890"))
    for link in links:
        files.put(link, b"12345")
    sweep = Sweep(stores.uploads, files)
    sweep()
    assert len(files.content) == 4, "they are not old"
    sweep(0)
    assert files.content == {f"tasks/{task}/1/{kept}": CONTENT}
    for gone in (left, parts):
        with pytest.raises(NotFound):
            keep.commit(task, 1, gone)
    assert keep.commit(task, 1, kept)[0].id == kept
    assert files.tidied == 2


def test_parts_that_came_after_the_commit_are_taken_away_too(
    keep: Keep, files: Files, stores: Stores, task: UUID
) -> None:
    parts = (b"12345", b"67890")
    artifact, links = begun(keep, task, parts=parts)
    for _ in range(2):
        for link, part in zip(links, parts, strict=True):
            files.put(link, part)
        if not files.joined:
            keep.commit(task, 1, artifact)
    assert len(files.content) == 3
    Sweep(stores.uploads, files)(0)
    assert files.content == {f"tasks/{task}/1/{artifact}": CONTENT}


def test_what_cannot_be_taken_away_now_is_left_for_the_next_time(
    keep: Keep, files: Files, stores: Stores, task: UUID
) -> None:
    _, (link,) = begun(keep, task)
    files.put(link, CONTENT)
    files.away = True
    sweep = Sweep(stores.uploads, files)
    sweep(0)
    assert files.content
    files.away = False
    sweep(0)
    assert not files.content


def test_a_sweep_ends_however_much_there_is(stores: Stores, files: Files) -> None:
    class Endless:
        collected = 0

        def collect(self, age_seconds: float, clear: object) -> bool:
            self.collected += 1
            return True

    endless = Endless()
    Sweep(endless, files)()
    assert endless.collected == MOST


def test_an_attempt_that_is_over_promises_nothing_more(keep: Keep, task: UUID) -> None:
    with pytest.raises(Conflict):
        keep.begin(task, 2, "a.txt", piece(CONTENT), "text/plain", [])
