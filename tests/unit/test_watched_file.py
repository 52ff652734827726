"""A file that may change at any time: what was good last counts."""

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from shared.domain.errors import Unavailable
from shared.watched_file import WatchedFile, read_text


def number(path: Path) -> int:
    """What the file holds; ValueError for anything but a number."""
    text = read_text(path)
    if not text.isdigit():
        raise ValueError("is no number")
    return int(text)


class Counting:
    """Parses, and counts how often."""

    def __init__(self, parse: Callable[[Path], int] = number) -> None:
        self.parse = parse
        self.times = 0

    def __call__(self, path: Path) -> int:
        self.times += 1
        return self.parse(path)


def until_the_clock_of_the_disk_has_moved(path: Path, touch: Callable[[], None], since: int) -> None:
    """Its ticks may be milliseconds long."""
    touch()
    while path.stat().st_ctime_ns == since:
        touch()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "number"
    path.write_text("1")
    return path


def test_it_is_read_when_it_has_changed_and_only_then(path: Path) -> None:
    parse = Counting()
    file = WatchedFile(path, parse, "the number")
    assert [file(), file(), file()] == [1, 1, 1]
    assert parse.times == 1
    path.write_text("22")
    assert [file(), file()] == [22, 22]
    assert parse.times == 2


def test_a_copy_of_the_same_size_and_time_is_seen(path: Path) -> None:
    """As `cp -p` and `rsync -t` write it."""
    file = WatchedFile(path, number, "the number")
    before = path.stat()
    assert file() == 1
    path.write_text("2")
    until_the_clock_of_the_disk_has_moved(
        path, lambda: os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns)), before.st_ctime_ns
    )
    assert file() == 2


def test_other_permissions_are_a_change(path: Path) -> None:
    """Who could not read the file may be able to now."""
    parse = Counting()
    file = WatchedFile(path, parse, "the number")
    file()
    until_the_clock_of_the_disk_has_moved(path, lambda: path.chmod(0o444), path.stat().st_ctime_ns)
    file()
    assert parse.times == 2


def test_a_link_that_is_switched_is_seen(tmp_path: Path) -> None:
    """As Kubernetes renews a mounted ConfigMap: the name stays, what it leads to is another folder."""
    for version in ("1", "2"):
        (tmp_path / f"v{version}").mkdir()
        (tmp_path / f"v{version}" / "number").write_text(version)
    data, new, named = tmp_path / "..data", tmp_path / "..data_tmp", tmp_path / "number"
    data.symlink_to("v1")
    named.symlink_to("..data/number")
    file = WatchedFile(named, number, "the number")
    assert file() == 1
    new.symlink_to("v2")
    new.replace(data)
    assert file() == 2


def test_a_file_that_another_replaces_is_seen(path: Path, tmp_path: Path) -> None:
    file = WatchedFile(path, number, "the number")
    before = path.stat()
    assert file() == 1
    (tmp_path / "new").write_text("2")
    os.utime(tmp_path / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    (tmp_path / "new").replace(path)
    assert file() == 2


def test_while_it_is_wrong_what_was_good_last_counts_and_the_log_says_so_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parse = Counting()
    file = WatchedFile(path, parse, "the number")
    file()
    path.write_text("secret")
    with caplog.at_level(logging.WARNING):
        assert [file(), file(), file()] == [1, 1, 1]
    assert parse.times == 2
    (said,) = caplog.records
    assert said.getMessage() == "the number is left unread"
    assert said.__dict__["facts"] == {"because": "it is no number"}
    path.write_text("3")
    assert file() == 3


def test_when_it_is_gone_what_was_good_last_counts(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = WatchedFile(path, number, "the number")
    file()
    path.unlink()
    with caplog.at_level(logging.WARNING):
        assert [file(), file()] == [1, 1]
    assert [record.__dict__["facts"]["because"] for record in caplog.records] == [
        "it cannot be read: no such file or directory"
    ]


@pytest.mark.parametrize("content", [None, "x"])
def test_before_it_was_ever_good_it_is_unavailable(path: Path, content: str | None) -> None:
    path.unlink()
    if content is not None:
        path.write_text(content)
    file = WatchedFile(path, number, "the number")
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"^the number cannot be used for now$") as refused:
            file()
        assert refused.value.retry_after == 5
    path.write_text("44")
    assert file() == 44


def test_a_change_that_could_not_be_looked_at_is_looked_at_again(path: Path) -> None:
    """A parser that breaks down has not judged the file."""
    broken = True

    def breaks_down(path: Path) -> int:
        if broken:
            raise MemoryError
        return number(path)

    file = WatchedFile(path, breaks_down, "the number")
    with pytest.raises(MemoryError):
        file()
    broken = False
    assert file() == 1


def test_all_threads_see_a_change_and_one_of_them_reads_it(path: Path) -> None:
    parse = Counting()
    file = WatchedFile(path, parse, "the number")
    with ThreadPoolExecutor(8) as threads:
        for digits in range(2, 22):
            path.write_text("1" * digits)
            assert set(threads.map(lambda _: file(), range(16))) == {int("1" * digits)}
    assert parse.times == 20


def test_readers_during_a_stream_of_changes_see_whole_files_in_their_order(path: Path, tmp_path: Path) -> None:
    file = WatchedFile(path, number, "the number")
    over = Event()

    def watch() -> list[int]:
        seen = [file()]
        while not over.is_set():
            seen.append(file())
        return [*seen, file()]

    with ThreadPoolExecutor(4) as threads:
        watching = [threads.submit(watch) for _ in range(4)]
        for digits in range(2, 200):
            (tmp_path / "new").write_text("1" * digits)
            (tmp_path / "new").replace(path)
        over.set()
        for seen in (each.result() for each in watching):
            assert seen == sorted(seen)
            assert seen[-1] == int("1" * 199)


# --- what is read


def test_a_text_is_read_without_its_byte_order_mark(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf7")
    assert read_text(path) == "7"


def test_what_is_no_small_text_file_is_refused(path: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    path.write_bytes(b"\xff")
    large = tmp_path / "large"
    large.write_bytes(b"x" * (1024 * 1024 + 1))
    for wrong, reason in (
        (fifo, "is not a file"),
        (tmp_path, "is not a file"),
        (loop, "cannot be read: too many levels of symbolic links"),
        (path, "is not UTF-8"),
        (large, "is larger than 1048576 bytes"),
        (path / "below", "cannot be read: not a directory"),
    ):
        with pytest.raises(ValueError, match=r".") as refused:
            read_text(wrong)
        assert str(refused.value) == reason
