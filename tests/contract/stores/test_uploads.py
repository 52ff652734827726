"""What every store of uploads promises to the callback."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from shared.domain.artifact import Upload
from shared.domain.errors import Conflict, NotFound, Unavailable
from tests.contract.stores.conftest import Stores
from tests.contract.stores.test_reports import DONE, record, report

UPLOAD = Upload(UUID(int=7), "change.patch", 5, "ab" * 32, "text/x-diff", "tasks/k/1/x")
IN_PARTS = Upload(UUID(int=8), "core.dump", 5, "cd" * 32, "text/x-diff", "tasks/k/1/y", 3)
URI = "file:///artifacts/tasks/k/1/x"


@pytest.fixture
def task(stores: Stores) -> UUID:
    task = stores.accept().run_id
    stores.launch(task)
    return task


def collected(stores: Stores, age_seconds: float = 0) -> list[tuple[Upload, bool]]:
    """What is cleared away, and whether it was kept."""
    cleared: list[tuple[Upload, bool]] = []
    while stores.uploads.collect(age_seconds, lambda upload, kept: cleared.append((upload, kept))):
        pass
    return cleared


@pytest.mark.parametrize("upload", [UPLOAD, IN_PARTS], ids=["whole", "in parts"])
def test_an_upload_is_promised_and_committed_once(stores: Stores, task: UUID, upload: Upload) -> None:
    for _ in range(2):
        assert stores.uploads.begin_upload(task, 1, upload) == upload
        assert stores.uploads.upload(task, 1, upload.id) == upload
    for _ in range(2):
        stores.uploads.commit_upload(task, upload, URI)
        assert stores.uploads.upload(task, 1, upload.id) == upload
    assert stores.uploads.begin_upload(task, 1, upload) == upload


def test_the_first_promise_counts(stores: Stores, task: UUID) -> None:
    stores.uploads.begin_upload(task, 1, UPLOAD)
    again = replace(UPLOAD, content_type="text/html", key="elsewhere")
    assert stores.uploads.begin_upload(task, 1, again) == UPLOAD


def test_an_upload_belongs_to_one_attempt_of_one_task(stores: Stores, task: UUID) -> None:
    stores.uploads.begin_upload(task, 1, UPLOAD)
    other = stores.accept("other").run_id
    stores.launch(other)
    for unknown in ((task, 1, uuid4()), (other, 1, UPLOAD.id), (uuid4(), 1, UPLOAD.id)):
        with pytest.raises(NotFound):
            stores.uploads.upload(*unknown)
    with pytest.raises(Conflict):
        stores.uploads.upload(task, 2, UPLOAD.id)


def test_an_upload_of_an_attempt_that_is_over_is_refused(stores: Stores, task: UUID) -> None:
    with pytest.raises(Conflict):
        stores.uploads.begin_upload(task, 2, UPLOAD)
    with pytest.raises(NotFound):
        stores.uploads.begin_upload(uuid4(), 1, UPLOAD)
    stores.uploads.begin_upload(task, 1, UPLOAD)
    record(stores, task, report(1, "completed"), end=DONE)
    for again in (UPLOAD, IN_PARTS):
        with pytest.raises(Conflict):
            stores.uploads.begin_upload(task, 1, again)
    assert stores.uploads.upload(task, 1, UPLOAD.id) == UPLOAD
    stores.uploads.commit_upload(task, UPLOAD, URI)


def test_what_was_never_committed_is_collected_and_forgotten(stores: Stores, task: UUID) -> None:
    for upload in (UPLOAD, IN_PARTS):
        stores.uploads.begin_upload(task, 1, upload)
    assert collected(stores, 60) == []
    assert collected(stores) == [(UPLOAD, False), (IN_PARTS, False)]
    assert collected(stores) == []
    with pytest.raises(NotFound):
        stores.uploads.upload(task, 1, UPLOAD.id)
    with pytest.raises(NotFound):
        stores.uploads.commit_upload(task, UPLOAD, URI)
    assert stores.uploads.begin_upload(task, 1, UPLOAD) == UPLOAD


def test_what_was_committed_is_kept_and_its_parts_are_cleared_once_more(stores: Stores, task: UUID) -> None:
    for upload in (UPLOAD, IN_PARTS):
        stores.uploads.begin_upload(task, 1, upload)
        stores.uploads.commit_upload(task, upload, upload.key)
    assert collected(stores) == [(IN_PARTS, True)]
    assert collected(stores) == []
    assert stores.uploads.upload(task, 1, IN_PARTS.id) == IN_PARTS


def test_an_upload_that_is_promised_anew_is_not_old(stores: Stores, task: UUID) -> None:
    stores.uploads.begin_upload(task, 1, UPLOAD)
    stores.uploads.commit_upload(task, UPLOAD, URI)
    assert collected(stores) == []
    stores.uploads.begin_upload(task, 1, UPLOAD)
    assert collected(stores, 60) == []
    assert collected(stores) == [(UPLOAD, True)]


def test_what_could_not_be_cleared_is_collected_again(stores: Stores, task: UUID) -> None:
    def away(_upload: Upload, _kept: bool) -> None:
        raise Unavailable("the store is away")

    stores.uploads.begin_upload(task, 1, UPLOAD)
    with pytest.raises(Unavailable):
        stores.uploads.collect(0, away)
    assert stores.uploads.upload(task, 1, UPLOAD.id) == UPLOAD
    assert collected(stores) == [(UPLOAD, False)]
