"""A folder of artifacts: what is there is whole, and what was cut off goes."""

import hashlib
import io
import os
import time
from pathlib import Path
from uuid import UUID

import pytest

from shared.artifacts.files import FileArtifacts
from shared.artifacts.links import FileLinks
from shared.domain.artifact import Piece, Upload, key
from shared.domain.errors import Malformed, NotFound, Unauthenticated

TASK = UUID("11111111-2222-4333-8444-555555555555")
KEY = key(TASK, 1, UUID(int=7))
KEYS = ["a-new-key-of-the-links-of-artifacts", "an-old-key-of-the-links-of-artifacts"]


def piece(content: bytes) -> Piece:
    return Piece(len(content), hashlib.sha256(content).hexdigest())


class Cut(io.BytesIO):
    """A body whose client goes away in the middle."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= 3:
            raise KeyboardInterrupt
        return super().read(3)


def everything(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_what_is_cut_off_or_wrong_leaves_nothing(tmp_path: Path) -> None:
    store = FileArtifacts(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        store.save(KEY, piece(b"12345"), Cut(b"12345"))
    for wrong in (b"1234", b"123456", b"54321"):
        with pytest.raises(Malformed):
            store.save(KEY, piece(b"12345"), io.BytesIO(wrong))
    assert everything(tmp_path) == []
    store.save(KEY, piece(b"12345"), io.BytesIO(b"12345"))
    with pytest.raises(Malformed):
        store.save(KEY, piece(b"12345"), io.BytesIO(b"54321"))
    assert (tmp_path / KEY).read_bytes() == b"12345"


def test_an_upload_ends_with_what_was_promised_however_long_its_body_is(tmp_path: Path) -> None:
    body = io.BytesIO(bytes(10_000_000))
    with pytest.raises(Malformed):
        FileArtifacts(tmp_path).save(KEY, piece(b"12345"), body)
    assert body.tell() == 6


def test_what_a_process_left_unfinished_goes_when_it_is_old(tmp_path: Path) -> None:
    store = FileArtifacts(tmp_path)
    store.save(KEY, piece(b"12345"), io.BytesIO(b"12345"))
    for name, age in ((".old.1", 90_000), (".new.2", 10)):
        unfinished = (tmp_path / KEY).with_name(name)
        unfinished.write_bytes(b"123")
        os.utime(unfinished, (time.time() - age,) * 2)
    store.tidy(86_400)
    assert sorted(everything(tmp_path)) == [".new.2", Path(KEY).name]
    FileArtifacts(tmp_path / "nothing").tidy(0)


def test_artifacts_of_before_are_still_found(tmp_path: Path) -> None:
    earlier = f"{TASK}/1/{UUID(int=7)}"
    (tmp_path / earlier).parent.mkdir(parents=True)
    (tmp_path / earlier).write_bytes(b"12345")
    file, size = FileArtifacts(tmp_path).open(earlier)
    with file:
        assert (file.read(), size) == (b"12345", 5)


def test_parts_are_joined_as_they_are_stored(tmp_path: Path) -> None:
    store, whole = FileArtifacts(tmp_path), piece(b"1234567890")
    upload = Upload(UUID(int=7), "a.txt", whole.size, whole.sha256, "text/plain", KEY, 10)
    for number, where in enumerate(upload.part_keys):
        with pytest.raises(NotFound):
            store.join(upload)
        content = b"1234567890"[number : number + 1]
        store.save(where, piece(content), io.BytesIO(content))
    store.join(upload)
    assert (tmp_path / KEY).read_bytes() == b"1234567890"


def test_a_link_outlives_the_change_of_the_key_that_made_it() -> None:
    before, between, after = FileLinks("", KEYS[1:]), FileLinks("", KEYS), FileLinks("", KEYS[:1])
    link = before.upload(KEY, piece(b"12345"), "text/plain", 1000)
    signature = link.url.rpartition("=")[2]
    between.check_upload(KEY, piece(b"12345"), "text/plain", link.expires, signature, 1000)
    with pytest.raises(Unauthenticated):
        after.check_upload(KEY, piece(b"12345"), "text/plain", link.expires, signature, 1000)


@pytest.mark.parametrize("signature", ["", "é", "0" * 64])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    links = FileLinks("", KEYS)
    with pytest.raises(Unauthenticated):
        links.check_download(KEY, "a", "text/plain", 2000, signature, 1000)


def test_what_is_signed_cannot_be_divided_in_another_way() -> None:
    links = FileLinks("", KEYS)
    signature = links.download(KEY, "a", "b/c", 1000).rpartition("=")[2]
    links.check_download(KEY, "a", "b/c", 1900, signature, 1000)
    with pytest.raises(Unauthenticated):
        links.check_download(KEY, "a b", "/c", 1900, signature, 1000)
