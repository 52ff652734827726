"""Globs find what an agent leaves in its workspace, and never anything else."""

import os
from pathlib import Path

import pytest

from shared.runner.wrapping import outputs
from shared.runner.wrapping.outputs import find

FILES = ["top.txt", "a/one.txt", "a/b/two.txt", "a/b/c/three.md", ".hidden/x.txt", "a/.env", "a/[x].txt"]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "work"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.txt", ["top.txt"]),
        ("./top.txt", ["top.txt"]),
        ("*/*.txt", ["a/[x].txt", "a/one.txt"]),
        ("a/**", ["a/[x].txt", "a/one.txt", "a/b/two.txt", "a/b/c/three.md"]),
        ("**/*.txt", ["top.txt", "a/[x].txt", "a/one.txt", "a/b/two.txt"]),
        ("**/**/three.*", ["a/b/c/three.md"]),
        ("a/**/**/b/**/*.m[cd]", ["a/b/c/three.md"]),
        ("a/.e*", ["a/.env"]),
        (".hidden/*", [".hidden/x.txt"]),
        ("a/[[]x].txt", ["a/[x].txt"]),
        ("a", []),
        ("?op.txt", ["top.txt"]),
    ],
)
def test_a_glob_means_what_it_means_in_a_shell(workspace: Path, pattern: str, found: list[str]) -> None:
    result = find(workspace, [pattern])
    assert sorted(str(path.relative_to(workspace)) for _, path in result.files) == sorted(found)
    assert result.notes == ([] if found else [f"no file matches {pattern}"])


def test_a_file_that_matches_twice_is_left_once_and_names_are_told_apart(workspace: Path) -> None:
    (workspace / "a/b/one.txt").touch()
    names = [name for name, _ in find(workspace, ["**/one.txt", "a/**", "top.txt"]).files]
    assert sorted(names) == sorted(["a-b-one.txt", "a-one.txt", "[x].txt", "two.txt", "three.md", "top.txt"])


@pytest.mark.parametrize("pattern", ["**/*", "**", "*", "link/*", "link/**", "folder/secret", "here", "up/*", "*/*"])
def test_no_link_is_followed(workspace: Path, pattern: str) -> None:
    outside = workspace.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (workspace / "link").symlink_to(outside)
    (workspace / "here").symlink_to(outside / "secret")
    (workspace / "up").symlink_to("..")
    (workspace / "folder").mkdir()
    (workspace / "folder/secret").symlink_to("../../outside/secret")
    assert not [path for _, path in find(workspace, [pattern]).files if path.read_text() == "secret"]


def test_what_is_no_regular_file_is_not_read(workspace: Path) -> None:
    os.mkfifo(workspace / "pipe")
    assert find(workspace, ["pipe"]).files == []


def test_a_name_that_cannot_be_printed_is_made_printable(workspace: Path) -> None:
    (workspace / os.fsdecode(b"odd\xff\n.bin")).touch()
    assert [name for name, _ in find(workspace, ["odd*"]).files] == ["odd__.bin"]


def test_there_is_an_end_to_how_many_and_how_much(workspace: Path) -> None:
    for number in range(outputs.MAX_FILES + 5):
        (workspace / f"many{number:03}").touch()
    result = find(workspace, ["many*"])
    assert len(result.files) == outputs.MAX_FILES
    assert result.notes == ["only the first 100 of 105 files are left with the task"]
    with (workspace / "huge").open("wb") as file:
        file.truncate(outputs.MAX_BYTES + 1)  # takes no room on the disk
    result = find(workspace, ["huge", "top.txt"])
    assert [name for name, _ in result.files] == ["top.txt"]
    assert "huge is left out" in result.notes[0]
