"""Snapshots and patches say what changed, and nothing that a repository holds can run or hide behind them."""

import os
from pathlib import Path

import pytest

from shared.runner.wrapping import git as runner_git
from shared.runner.wrapping.git import GitError, Repository
from shared.runner.wrapping.workspace import Workspace
from tests.component.runner.wrapping import git


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository with one commit."""
    folder = tmp_path / "work"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "file").write_text("one\n")
    (folder / ".gitignore").write_text("*.log\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "start")
    return folder


@pytest.fixture
def private(tmp_path: Path) -> Path:
    folder = tmp_path / "private"
    folder.mkdir()
    return folder


def applied(work: Path, base: str, patch: bytes) -> str:
    """The tree that the patch makes of the commit `base`."""
    clone = work.parent / "clone"
    git(work.parent, "clone", "--quiet", "--no-checkout", str(work), str(clone))
    git(clone, "checkout", "--quiet", base)
    (work.parent / "change.patch").write_bytes(patch)
    git(clone, "apply", "--index", "../change.patch")
    return git(clone, "write-tree")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tree_of(work: Path) -> str:
    git(work, "add", "--all")
    return git(work, "write-tree")


def test_the_state_names_commit_branch_and_changes(work: Path, private: Path) -> None:
    (work / "file").write_text("two\n")
    (work / "new").touch()
    commit = git(work, "rev-parse", "HEAD")
    assert Workspace(work, private).before() == f"commit {commit}\nbranch main\nchanges:\nM\tfile\nA\tnew\n"


def test_a_folder_below_the_top_belongs_to_its_work_tree(work: Path, private: Path) -> None:
    (work / "sub").mkdir()
    workspace = Workspace(work / "sub", private)
    assert "branch main" in workspace.before()
    (work / "file").write_text("two\n")
    assert "file" in workspace.after().state


def test_commits_changes_and_new_files_are_one_patch(work: Path, private: Path) -> None:
    base = git(work, "rev-parse", "HEAD")
    workspace = Workspace(work, private)
    workspace.before()
    (work / "file").write_text("committed\n")
    git(work, "commit", "--quiet", "--all", "--message", "more")
    (work / "staged").write_text("staged\n")
    git(work, "add", "staged")
    (work / "new").write_bytes(bytes(range(256)))
    (work / "noise.log").write_text("ignored\n")
    after = workspace.after()
    assert "3 files changed" in after.state
    assert after.patch and b"noise" not in after.patch
    assert applied(work, base, after.patch) == tree_of(work)


def test_nothing_of_the_repository_is_touched(work: Path, private: Path) -> None:
    (work / "new").write_text("x\n")
    before = contents(work / ".git")
    workspace = Workspace(work, private)
    workspace.before()
    workspace.after()
    assert contents(work / ".git") == before
    assert git(work, "status", "--porcelain") == "?? new"


def test_a_repository_without_a_commit_is_compared_with_nothing(tmp_path: Path, private: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "--quiet", "--initial-branch=main")
    (work / "file").write_text("x\n")
    workspace = Workspace(work, private)
    assert workspace.before() == "commit (none yet)\nbranch main\nchanges:\nA\tfile\n"
    after = workspace.after()
    assert after.patch and b"+x" in after.patch


def test_a_detached_head_is_no_branch(work: Path, private: Path) -> None:
    git(work, "checkout", "--quiet", "--detach")
    assert "branch (detached)" in Workspace(work, private).before()


def test_tracked_files_that_are_ignored_stay_and_linked_work_trees_are_work_trees(work: Path, private: Path) -> None:
    (work / "kept.log").write_text("one\n")
    git(work, "add", "--force", "kept.log")
    git(work, "commit", "--quiet", "--message", "log")
    git(work, "worktree", "add", "--quiet", "../linked")
    linked = work.parent / "linked"
    workspace = Workspace(linked, private)
    assert "(none)" in workspace.before()
    (linked / "kept.log").write_text("two\n")
    after = workspace.after()
    assert after.patch and b"kept.log" in after.patch


def test_an_index_that_cannot_be_read_is_made_again(work: Path, private: Path) -> None:
    workspace = Workspace(work, private)
    workspace.before()
    (work / "file").write_text("two\n")
    (work / ".git/index").write_bytes(b"rubbish")
    after = workspace.after()
    assert after.patch and b"+two" in after.patch and b"gitignore" not in after.patch


def test_a_folder_in_no_work_tree_says_so(private: Path) -> None:
    workspace = Workspace(Path(private.anchor), private)
    assert workspace.before() == "the workspace is not in a git work tree\n"
    assert workspace.after().patch is None


def test_without_git_it_says_so(work: Path, private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(private))
    assert Workspace(work, private).before() == "git is not installed here\n"


def test_a_repository_that_is_gone_says_so(work: Path, private: Path) -> None:
    workspace = Workspace(work, private)
    workspace.before()
    (work / "file").write_text("two\n")
    for path in sorted((work / ".git").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    after = workspace.after()
    assert after.patch is None
    assert "no changes can be told" in after.state


def test_a_patch_or_a_change_that_is_too_large_is_not_kept(work: Path, private: Path) -> None:
    workspace = Workspace(work, private)
    workspace.before()
    (work / "huge").write_bytes(os.urandom(33 * 1024 * 1024))
    after = workspace.after()
    assert after.patch is None
    assert "huge" in after.state
    assert "no patch is kept: git diff says more than" in after.state
    with (work / "sparse").open("wb") as file:
        file.truncate(runner_git.MAX_CHANGED + 1)
    assert "no changes can be told: the files that changed have more than" in workspace.after().state


HOSTILE = """
[core]
	fsmonitor = touch {evil}/fsmonitor
	hooksPath = {evil}/hooks
	pager = touch {evil}/pager
	worktree = {outside}
	sshCommand = touch {evil}/ssh
	alternateRefsCommand = touch {evil}/refs
[diff]
	external = touch {evil}/external
[diff "odd"]
	command = touch {evil}/command
	textconv = touch {evil}/textconv; cat
[filter "odd"]
	clean = touch {evil}/clean; cat
	smudge = touch {evil}/smudge; cat
	process = touch {evil}/process
	required = true
[remote "origin"]
	url = ext::touch {evil}/remote
	promisor = true
[extensions]
	partialClone = origin
[alias]
	diff = !touch {evil}/alias
"""


def test_a_hostile_repository_runs_nothing_and_leads_nowhere(work: Path, private: Path, tmp_path: Path) -> None:
    base = git(work, "rev-parse", "HEAD")
    evil, outside = tmp_path / "evil", tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (evil / "hooks").mkdir(parents=True)
    for hook in ("post-index-change", "pre-commit", "reference-transaction", "post-checkout"):
        (evil / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {evil}/hook-{hook}\n")
        (evil / "hooks" / hook).chmod(0o755)
    workspace = Workspace(work, private)
    workspace.before()
    config = (work / ".git/config").read_text()
    (work / ".git/config").write_text(config + HOSTILE.format(evil=evil, outside=outside))
    (work / ".gitattributes").write_text("* filter=odd diff=odd\n")
    (work / "file").write_text("two\n")
    (work / "link").symlink_to(outside / "secret")
    second = tmp_path / "second"
    second.mkdir()
    for look in (workspace, Workspace(work, second)):
        if look is not workspace:
            look.before()
        after = look.after()
        assert after.patch and b"+two" in after.patch
        assert b"secret\n" not in after.patch.replace(str(outside / "secret").encode(), b"")
    assert sorted(path.name for path in evil.iterdir()) == ["hooks"]
    (work / ".git/config").write_text(config)
    assert after.patch and applied(work, base, after.patch)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to somebody else")
def test_a_repository_of_somebody_else_is_looked_at(work: Path, private: Path) -> None:
    for path in [work, *work.rglob("*")]:
        os.chown(path, 65532, 65532)
    assert "branch main" in Workspace(work, private).before()


def test_a_repository_inside_is_no_part_of_the_work(work: Path, private: Path) -> None:
    workspace = Workspace(work, private)
    workspace.before()
    (work / "empty").mkdir()
    git(work / "empty", "init", "--quiet")
    (work / "empty/inside").write_text("x\n")
    (work / "file").write_text("two\n")
    after = workspace.after()
    assert after.patch and b"+two" in after.patch


def test_a_command_that_fails_has_a_reason(work: Path, private: Path) -> None:
    with pytest.raises(GitError, match="git diff failed with exit code 128"):
        Repository(work, private).diff("0" * 40, "1" * 40)
