"""What the code of an image imports, wherever in a file it does: what a start loads, and what only a request does."""

from pathlib import Path

from tests.architecture.tree import ROOT, dotted, imports, modules, within

OURS = ("functions", "shared", "migrations")


def needed(*starts: str, without: tuple[str, ...] = ()) -> tuple[set[str], set[str]]:
    """Our own modules that these packages and modules lead to, and the foreign names that are imported by them.

    Nothing is looked for in the packages `without`.
    """
    ours: set[str] = set()
    foreign: set[str] = set()
    waiting = [*starts, *(dotted(path) for start in starts for path in modules(start.replace(".", "/")))]
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if name in ours or path is None or any(within(name, package) for package in without):
            continue
        ours.add(name)
        named = imports(path)
        waiting += [one for one in named if one.split(".")[0] in OURS]
        waiting += [name.rpartition(".")[0]] if "." in name else []
        foreign |= {one for one in named if one.split(".")[0] not in OURS}
    return ours, foreign


def _file(name: str) -> str | None:
    """A name that is no module is something within one."""
    path = Path(name.replace(".", "/"))
    found = [one for one in (path.with_suffix(".py"), path / "__init__.py") if (ROOT / one).is_file()]
    return str(found[0]) if found else None
