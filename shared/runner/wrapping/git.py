"""Git on a repository that may be hostile: its configuration, hooks, filters and index are never used as they are.

Trees are made in a scratch repository of our own, which borrows the objects of the other one. So nothing
is written there either.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from shared.runner.errors import RunnerError

_SECONDS = 30.0
_MAX_OUTPUT = 4 * 1024 * 1024
# So much is read and kept in the temporary folder at most, for files that changed.
MAX_CHANGED = 64 * 1024 * 1024

_CONFIG = "[safe]\n\tdirectory = *\n[core]\n\thooksPath = /dev/null\n\tfsmonitor = false\n"


class GitError(RunnerError):
    """Git is away, or cannot say what was asked; the message says why."""


class Repository:
    """The repository that `folder` is in, as it was found, with a scratch repository in `private`.

    Nothing takes longer than half a minute, or than `until` (monotonic seconds).
    """

    def __init__(self, folder: Path, private: Path, until: float | None = None) -> None:
        self._until = until
        self._git = shutil.which("git") or ""
        if not self._git:
            raise GitError("git is not installed here")
        top = next((one for one in (folder, *folder.parents) if os.path.lexists(one / ".git")), None)
        if top is None:
            raise GitError("the workspace is not in a git work tree")
        self._top = top
        self._home = private / "git-home"
        self._scratch = private / "git"
        self._home.mkdir()
        (self._home / ".gitconfig").write_text(_CONFIG)
        self._make_scratch()

    def head(self) -> str | None:
        """The commit that is checked out; None before the first."""
        with contextlib.suppress(GitError):
            return self._text("rev-parse", "--verify", "--quiet", "HEAD")
        return None

    def branch(self) -> str | None:
        """The branch that is checked out; None where none is."""
        with contextlib.suppress(GitError):
            return self._text("symbolic-ref", "--quiet", "--short", "HEAD")
        return None

    def empty_tree(self) -> str:
        """The id of a tree without files."""
        return self._in_scratch("hash-object", "-w", "-t", "tree", os.devnull).decode().strip()

    def tree(self) -> str:
        """The id of a tree of everything that is there: committed, changed and untracked, but for what is ignored."""
        self._copy_index()
        names = self._in_scratch("ls-files", "-z", "--modified", "--others", "--exclude-standard").split(b"\0")
        if sum(map(self._size, filter(None, names))) > MAX_CHANGED:
            raise GitError(f"the files that changed have more than {MAX_CHANGED} bytes")
        self._in_scratch("add", "--all", "--ignore-errors", accept=(0, 1))
        return self._in_scratch("write-tree", "--missing-ok").decode().strip()

    def diff(self, old: str, new: str, *how: str, most: int = _MAX_OUTPUT) -> bytes:
        """What is between two trees; GitError if that is more than `most` bytes."""
        plain = ("--no-ext-diff", "--no-textconv", "--no-color")
        return self._in_scratch("diff", *plain, *how, old, new, "--", most=most)

    def _make_scratch(self) -> None:
        asked = ("--absolute-git-dir", "--git-path", "objects", "--git-path", "index", "--git-path", "info/exclude")
        answers = self._text("rev-parse", *asked, "--show-object-format").split("\n")
        if len(answers) != 5:
            raise GitError("the paths of this repository cannot be told apart")
        _, objects, index, exclude, kind = answers
        self._index = self._top / index
        self._run("init", "--quiet", "--bare", "--template=", f"--object-format={kind}", str(self._scratch))
        (self._scratch / "objects/info").mkdir(exist_ok=True)
        (self._scratch / "objects/info/alternates").write_text(f"{self._top / objects}\n")
        (self._scratch / "info").mkdir(exist_ok=True)
        with contextlib.suppress(OSError):
            shutil.copyfile(self._top / exclude, self._scratch / "info/exclude")

    def _copy_index(self) -> None:
        """Begins with the repository's index: it knows what is ignored but tracked, and what is not checked out."""
        index = self._scratch / "index"
        try:
            # With its times: they tell git which files may have changed since.
            shutil.copy2(self._index, index)
            self._in_scratch("ls-files", "--stage", "--", ".nothing")
        except (OSError, GitError):
            index.unlink(missing_ok=True)
            head = self.head()
            self._in_scratch("read-tree", *([head] if head else ["--empty"]))

    def _size(self, name: bytes) -> int:
        with contextlib.suppress(OSError):
            return os.lstat(os.path.join(os.fsencode(self._top), name)).st_size  # noqa: PTH118 - names are bytes
        return 0

    def _text(self, *arguments: str) -> str:
        return self._run(*arguments).decode("utf-8", "replace").rstrip("\n")

    def _in_scratch(self, *arguments: str, most: int = _MAX_OUTPUT, accept: tuple[int, ...] = (0,)) -> bytes:
        places = {"GIT_DIR": str(self._scratch), "GIT_WORK_TREE": str(self._top)}
        return self._run(*arguments, most=most, accept=accept, env=places)

    def _run(
        self,
        *arguments: str,
        most: int = _MAX_OUTPUT,
        accept: tuple[int, ...] = (0,),
        env: Mapping[str, str] | None = None,
    ) -> bytes:
        apart = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._home),
            "LC_ALL": "C",
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
        }
        seconds = _SECONDS if self._until is None else min(_SECONDS, self._until - time.monotonic())
        if seconds <= 0:
            raise GitError("there is no time left")
        try:
            return _output([self._git, *arguments], self._top, {**apart, **(env or {})}, most, accept, seconds)
        except OSError as error:
            raise GitError(f"git cannot be run ({error.strerror})") from None


def _output(
    command: list[str], folder: Path, env: Mapping[str, str], most: int, accept: tuple[int, ...], seconds: float
) -> bytes:
    name = f"git {command[1]}"
    none, out = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, env=dict(env), stdin=none, stdout=out, stderr=none) as process:
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            content = process.stdout.read(most + 1) if process.stdout else b""
            if len(content) > most:
                raise GitError(f"{name} says more than {most} bytes")
            code = process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
    if code == -9:
        raise GitError(f"{name} was not done within {seconds:.0f} s")
    if code not in accept:
        raise GitError(f"{name} failed with exit code {code}")
    return content
