"""The token of the pod's own ServiceAccount."""

from pathlib import Path


class Token:
    """The file of a token, which Kubernetes replaces while the pod runs: it is read anew when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[object, str] = (None, "")

    def bearer(self) -> str:
        """The header that says who asks; OSError if there is no such file."""
        found = self._path.stat()
        state = found.st_mtime_ns, found.st_size, found.st_ino
        if self._known[0] != state:
            self._known = state, f"Bearer {self._path.read_text(encoding='ascii').strip()}"
        return self._known[1]
