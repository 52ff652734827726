"""Settings: frozen dataclasses filled from the environment and a YAML file, with every mistake reported at once.

A settings class declares one field per setting, each made by `env(...)`, or by `group(...)` for a
settings class of its own. The environment comes before the file that FACTEUR_CONFIG_FILE names.
Empty is unset in both. Both go through the same parsers: in the file every scalar is text, and a
map or list is the JSON that the environment would hold.
"""

import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from shared.settings_keys import VARIABLES

T = TypeVar("T")
CONFIG_FILE = "FACTEUR_CONFIG_FILE"
_UNSET = object()
_SWITCHES = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


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


def integer(low: int, high: int) -> Callable[[str], int]:
    """A parser for whole numbers from `low` to `high`."""

    def parse(raw: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", raw) or not low <= int(raw) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(raw)

    return parse


def http_url(raw: str) -> str:
    """A parser for http and https URLs; the trailing slash goes."""
    if not re.fullmatch(r"https?://[^\s/]+\S*", raw):
        raise ValueError("must be a URL that starts with http:// or https://")
    return raw.rstrip("/")


def redis_url(raw: str) -> str:
    """A parser for URLs of a Redis."""
    if not re.fullmatch(r"(?:rediss?|unix)://\S+", raw):
        raise ValueError("must be a URL that starts with redis://, rediss:// or unix://")
    return raw


def tls_url(raw: str) -> str:
    """A parser for URLs to which tokens travel: without TLS to this machine only."""
    url = http_url(raw)
    if not url.startswith("https://") and not re.match(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?:[:/]|$)", url):
        raise ValueError("must be a URL that starts with https:// (http:// for this machine alone)")
    return url


def secret(raw: str) -> str:
    """A parser for keys: at least 32 characters."""
    if len(raw) < 32:
        raise ValueError("must have at least 32 characters (make one with: openssl rand -hex 32)")
    return raw


def text_list(raw: str) -> tuple[str, ...]:
    """A parser for a JSON list of strings."""
    value = json_value(raw)
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise ValueError('must be a JSON list of strings, like ["codex", "exec"]')
    return tuple(value)


def text_map(raw: str) -> tuple[tuple[str, str], ...]:
    """A parser for a JSON object of strings, as pairs of name and text; the case of names is kept."""
    value = json_value(raw)
    if not isinstance(value, dict) or not all(name and isinstance(text, str) for name, text in value.items()):
        raise ValueError('must be a JSON object of strings, like {"rawEvent": ""}')
    return tuple(value.items())


def switch(raw: str) -> bool:
    """A parser for yes and no."""
    if raw.lower() not in _SWITCHES:
        raise ValueError("must be true or false")
    return _SWITCHES[raw.lower()]


def flag(raw: str) -> bool:
    """A parser for a flag of the earlier system: whatever is set is true, except 0, false and no."""
    return raw.lower() not in ("0", "false", "no")


def dns_label(raw: str) -> str:
    """A parser for the name of a namespace."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", raw):
        raise ValueError("must be a DNS label: at most 63 of a-z, 0-9 and '-', and '-' inside only")
    return raw


def dns_name(raw: str) -> str:
    """A parser for names of Kubernetes objects: DNS labels with dots between them."""
    if len(raw) > 253 or not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", raw):
        raise ValueError("must be a DNS name: at most 253 of a-z, 0-9, '-' and '.', and the last two inside only")
    return raw


def json_value(raw: str) -> Any:
    """A parser for JSON of any shape; a name twice in one object is refused."""
    try:
        return json.loads(raw, object_pairs_hook=_once)
    except _NameTwice:
        raise ValueError("must be JSON without a name twice in one object") from None
    except (ValueError, RecursionError):
        raise ValueError("must be JSON") from None


class _NameTwice(ValueError):
    """An object has a name twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise _NameTwice
    return names
