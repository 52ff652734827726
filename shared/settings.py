"""Settings: frozen dataclasses filled from the environment and a YAML file, with every mistake reported at once.

A settings class declares one field per setting, each made by `env(...)`, or by `group(...)` for a
settings class of its own. The environment comes before the file that FACTEUR_CONFIG_FILE names.
Empty is unset in both. Both go through the same parsers: in the file every scalar is text, and a
map or list is the JSON that the environment would hold.
"""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from shared.settings_keys import VARIABLES

T = TypeVar("T")
CONFIG_FILE = "FACTEUR_CONFIG_FILE"
_UNSET = object()


class SettingsError(Exception):
    """One or more settings are missing or wrong; the message lists all of them, as `mistakes` does."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = tuple(mistakes)


class Found(NamedTuple):
    """A setting that is set: its variable, its key (None if no file may set it), and where it was found."""

    variable: str
    key: str | None
    origin: str


def env(
    name: str, parse: Callable[[str], Any] = str, *, default: Any = dataclasses.MISSING, alias: str | None = None
) -> Any:
    """A dataclass field read from the environment variable `name`; required unless it has a default.

    `parse` raises ValueError with a sentence that says what to write. Values never reach a repr.
    `alias` is another variable for the same; both set to different values is a mistake.
    """
    metadata = {"env": name, "parse": parse, "alias": alias}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata, repr=False)
    return dataclasses.field(default=default, metadata=metadata, repr=False)


def group(cls: type[T]) -> T:
    """A field that is a settings class itself.

    Its `__post_init__` may raise ValueError with a whole sentence, for what its settings must be together.
    """
    field: T = dataclasses.field(metadata={"group": cls})
    return field


def declared(cls: type) -> Iterator["dataclasses.Field[Any]"]:
    """The field of every setting of the class, those of its groups too."""
    for field in dataclasses.fields(cls):
        if "group" in field.metadata:
            yield from declared(field.metadata["group"])
        else:
            yield field


def load(cls: type[T], environ: Mapping[str, str] | None = None) -> T:
    """An instance of the settings class `cls`; raises SettingsError that names every mistake."""
    sources = _Sources(os.environ if environ is None else environ)
    settings = sources.fill(cls)
    if settings is None or sources.mistakes:
        raise SettingsError(sources.mistakes)
    return settings


def check(classes: Iterable[type], environ: Mapping[str, str] | None = None) -> list[Found]:
    """What is set of all these classes; SettingsError names every mistake, each of them once."""
    sources = _Sources(os.environ if environ is None else environ)
    asked = list(classes)
    for cls in asked:
        sources.fill(cls)
    if sources.mistakes:
        raise SettingsError(list(dict.fromkeys(sources.mistakes)))
    fields = {field.metadata["env"]: field for cls in asked for field in declared(cls)}
    return [found for field in fields.values() if (found := sources.found(field))]


class _Sources:
    """The environment, and behind it the file; `mistakes` grows with every class that is filled."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._file: dict[str, str] = {}
        self._complete = True
        self.mistakes: list[str] = []
        if named := environ.get(CONFIG_FILE, "").strip():
            self._read(Path(named))

    def _read(self, path: Path) -> None:
        from shared.settings_file import read
        from shared.yaml_document import Unreadable

        try:
            self._file, mistakes = read(path)
        except Unreadable as error:
            self._complete = False
            mistakes = [f"the configuration file {error}"]
        else:
            mistakes = [f"{mistake} (in the configuration file)" for mistake in mistakes]
        self.mistakes += mistakes

    def fill(self, cls: type[T]) -> T | None:
        """An instance of the settings class, None if there were mistakes."""
        values: dict[str, Any] = {}
        before = len(self.mistakes)
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # cls is a dataclass by convention
            value = self.fill(field.metadata["group"]) if "group" in field.metadata else self._value(field)
            if value is not _UNSET:
                values[field.name] = value
        if len(self.mistakes) > before or not self._complete:
            return None
        try:
            return cls(**values)
        except ValueError as error:
            self.mistakes.append(str(error))
            return None

    def found(self, field: "dataclasses.Field[Any]") -> Found | None:
        name, alias = field.metadata["env"], field.metadata["alias"]
        key = VARIABLES.get(name)
        if set_by := next((variable for variable in (name, alias) if variable and self._variable(variable)), None):
            return Found(set_by, key, "environment")
        return Found(name, key, "file") if self._file.get(name, "").strip() else None

    def _variable(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def _value(self, field: "dataclasses.Field[Any]") -> Any:
        name, alias = field.metadata["env"], field.metadata["alias"]
        known = [
            self._parsed(field, variable, raw)
            for variable in (name, alias)
            if variable and (raw := self._variable(variable))
        ]
        if len(known) > 1 and _UNSET not in known and known[0] != known[1]:
            self.mistakes.append(f"{name} and {alias} are both set, and differ")
        if known:
            return known[0]
        if raw := self._file.get(name, "").strip():
            return self._parsed(field, f"{VARIABLES[name]} (in the configuration file)", raw)
        if field.default is dataclasses.MISSING and self._complete:
            self.mistakes.append(f"{name} is not set" + (f" (key {VARIABLES[name]})" if name in VARIABLES else ""))
        return _UNSET

    def _parsed(self, field: "dataclasses.Field[Any]", said: str, raw: str) -> Any:
        try:
            return field.metadata["parse"](raw)
        except ValueError as error:
            self.mistakes.append(f"{said} {error}")
            return _UNSET
