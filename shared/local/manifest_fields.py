"""Reads fields of a manifest and notes every mistake with its file, its field and what to write."""

import base64
import re
from collections.abc import Callable, Hashable
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import yaml
from croniter import CroniterError, croniter

_MISSING = object()
_DURATION = re.compile(
    r"P(?=.)(?:([0-9]{1,6})D)?(?:T(?=.)(?:([0-9]{1,6})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,6}(?:\.[0-9]{1,9})?)S)?)?"
)

_CRON = re.compile(r"(?:[-0-9*/, ]|[A-Za-z]{3})+")


class StrictLoader(yaml.SafeLoader):
    """The safe loader, and a key that is written twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(None, None, "a key is written twice", node.start_mark)
        return super().construct_mapping(node, deep)


class Section:
    """A mapping inside a manifest. Reading never raises: what is wrong goes to the list of mistakes."""

    def __init__(self, file: str, path: str, value: object, mistakes: list[str]) -> None:
        self._file = file
        self._path = path
        self._mistakes = mistakes
        self.value: dict[Any, Any] = {}
        if isinstance(value, dict):
            self.value = value
        else:
            mistakes.append(f"{file}: {path or 'the document'} must be a mapping of names to values")
            # That was the mistake: the fields that are missing because of it are not named as well.
            self._mistakes = []

    def note(self, name: str, sentence: str) -> None:
        """Records a mistake of one field; the sentence says what to write."""
        self._mistakes.append(f"{self._file}: {self._at(name)} {sentence}")

    def only(self, *names: str) -> None:
        """Every other field is a mistake."""
        for name in self.value:
            if name not in names:
                self.note(str(name), f"is not known here: use {', '.join(names)}")

    def section(self, name: str, *, required: bool = True) -> "Section":
        """The mapping under `name`, empty if it is missing."""
        if name in self.value:
            return Section(self._file, self._at(name), self.value[name], self._mistakes)
        if required:
            self.note(name, "is missing")
        return Section(self._file, self._at(name), {}, [])

    def sections(self, name: str) -> list["Section"]:
        """The mappings in the list under `name`."""
        found = self.value.get(name)
        if not isinstance(found, list):
            self.note(name, "must be a list")
            return []
        path = self._at(name)
        return [Section(self._file, f"{path}[{n}]", item, self._mistakes) for n, item in enumerate(found)]

    def parsed(self, name: str, parse: Callable[[Any], Any], default: Any = _MISSING) -> Any:
        """The parsed field. One that is wrong, or missing without a default, is noted and None."""
        if name not in self.value:
            if default is not _MISSING:
                return default
            self.note(name, "is missing")
            return None
        try:
            return parse(self.value[name])
        except ValueError as error:
            self.note(name, str(error))
            return None

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def one_of(*allowed: str) -> Callable[[object], str]:
    """A parser for a closed set of words."""

    def parse(value: object) -> str:
        if value not in allowed:
            raise ValueError(f"must be {' or '.join(allowed)}")
        return str(value)

    return parse


def text(value: object) -> str:
    """Text; YAML takes 1.0 and true for other things."""
    if not isinstance(value, str):
        raise ValueError("must be text: put it in quotes")
    return value


def non_empty_text(value: object) -> str:
    """Text of at least one character."""
    if not text(value):
        raise ValueError("must not be empty")
    return str(value)


def object_name(value: object) -> str:
    """The name of a Kubernetes object."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", text(value)):
        raise ValueError("must be lower-case letters, digits, - and . only, with a letter or digit at both ends")
    return str(value)


def is_attribute_name(value: object) -> bool:
    """True for names that a CloudEvents attribute can have."""
    return isinstance(value, str) and bool(re.fullmatch(r"[a-z0-9]+", value))


def retries(value: object) -> int:
    """How often a delivery is tried again."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1000:
        raise ValueError("must be a whole number from 0 to 1000")
    return value


def duration(value: object) -> float:
    """Seconds, from an ISO 8601 duration of days, hours, minutes and seconds."""
    match = _DURATION.fullmatch(text(value))
    if not match:
        raise ValueError("must be an ISO 8601 duration, like PT0.5S or PT1M")
    return sum(float(n or 0) * unit for n, unit in zip(match.groups(), (86400, 3600, 60, 1), strict=True))


def positive_duration(value: object) -> float:
    """Seconds, more than 0."""
    seconds = duration(value)
    if seconds <= 0:
        raise ValueError("must be longer than PT0S")
    return seconds


def cron(value: object) -> str:
    """A cron schedule of five fields."""
    schedule = text(value)
    # R, H, L and # are croniter's own: Knative would refuse them.
    if len(schedule.split()) != 5 or not _CRON.fullmatch(schedule):
        raise ValueError('must be a cron schedule of five fields, like "*/5 * * * *"')
    try:
        croniter(schedule).get_next()
    except CroniterError:
        raise ValueError('must be a cron schedule that comes true some day, like "*/5 * * * *"') from None
    return schedule


def timezone(value: object) -> str:
    """The name of a time zone."""
    try:
        ZoneInfo(text(value))
    except (KeyError, ValueError, OSError):
        raise ValueError("must be a time zone by its tz database name, like Europe/Paris") from None
    return str(value)


def base64_bytes(value: object) -> bytes:
    """Bytes in base64."""
    try:
        return base64.b64decode(text(value), validate=True)
    except ValueError:
        raise ValueError("must be base64 text") from None


def relative_uri(value: object) -> str:
    """A path, to be resolved against the address of a Service."""
    parts = urlsplit(text(value))
    if parts.scheme or parts.netloc or not re.fullmatch(r"[\x21-\x7e]+", str(value)):
        raise ValueError("must be a path, like /dead-letters")
    return str(value)
