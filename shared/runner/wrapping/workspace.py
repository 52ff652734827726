"""What an agent works on, before and after: a commit, what is different, and the patch between the two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.runner.content import cut
from shared.runner.wrapping.git import GitError, Repository

MAX_PATCH = 32 * 1024 * 1024
_MAX_STATE = 32 * 1024


@dataclass(frozen=True)
class After:
    """The state as text, and the patch that leads there; None where nothing changed, or none can be had."""

    state: str
    patch: bytes | None


class Workspace:
    """Looks at a folder that may be in a git work tree; where it is not, that is what it says."""

    def __init__(self, folder: Path, private: Path, until: float | None = None) -> None:
        self._folder = folder
        self._private = private
        self._until = until
        self._repository: Repository | None = None
        self._commit: str | None = None
        self._base = ""

    def before(self) -> str:
        """The state at the start, which `after` compares with."""
        try:
            repository = Repository(self._folder, self._private, self._until)
            self._commit = repository.head()
            self._base = self._commit or repository.empty_tree()
            self._repository = repository
            changes = repository.diff(self._base, repository.tree(), "--name-status")
        except (GitError, OSError) as error:
            return f"{self._where()}\nno state: {_reason(error)}\n" if self._repository else f"{_reason(error)}\n"
        return f"{self._where()}\nchanges:\n{_text(changes) or '(none)'}\n"

    def after(self) -> After:
        """The state now, and the patch from the commit at the start, with whatever was not committed then."""
        repository = self._repository
        if repository is None:
            return After("there was no git work tree at the start\n", None)
        try:
            tree = repository.tree()
            stat = _text(repository.diff(self._base, tree, "--stat=120", "--stat-count=200"))
            state = f"{self._where()}\nchanges since {self._commit or 'nothing'}:\n{stat or '(none)'}\n"
        except (GitError, OSError) as error:
            return After(f"{self._where()}\nno changes can be told: {_reason(error)}\n", None)
        try:
            patch = repository.diff(self._base, tree, "--binary", "--full-index", most=MAX_PATCH)
        except GitError as error:
            return After(f"{state}no patch is kept: {error}\n", None)
        return After(state, patch or None)

    def _where(self) -> str:
        assert self._repository is not None  # noqa: S101 - it was found before anybody asks
        head, branch = self._repository.head(), self._repository.branch()
        return f"commit {head or '(none yet)'}\nbranch {cut(branch or '(detached)', 200)}"


def _text(output: bytes) -> str:
    return cut(output.decode("utf-8", "replace").rstrip(), _MAX_STATE)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, GitError) else f"git cannot be run ({type(error).__name__})"
