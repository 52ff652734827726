"""A CloudEvent 1.0 in memory, whatever mode it travelled in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Event:
    """One CloudEvent. `source` and `id` together identify it (CloudEvents 1.0, section 3.1).

    `data` is the payload as bytes, None if there is none; its media type is `datacontenttype`.
    `extensions` holds every other attribute by its lower-case name, values in their string form.
    """

    id: str
    source: str
    type: str
    subject: str | None = None
    time: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    extensions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    data: bytes | None = None

    def attribute(self, name: str) -> str | None:
        """The value of a context attribute or extension by its CloudEvents name, None if absent."""
        if name == "specversion":
            return "1.0"
        if name in ("id", "source", "type", "subject", "time", "datacontenttype", "dataschema"):
            value: str | None = getattr(self, name)
            return value
        return self.extensions.get(name)
