"""What the API server answers where it does not do what it was asked: Status bodies in its words."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.cluster.fake.kinds import Kind, Object

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
        told = {} if details is None else {"details": details}
        self.body: Object = {**body, "reason": reason, **told, "code": code}


class NoSuchPage(Exception):
    """A path that no API has; the answer is plain text."""


@dataclass(frozen=True)
class Mistake:
    """One field that is not as it must be."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"

    @staticmethod
    def value(field: str, value: object, message: str) -> "Mistake":
        return Mistake(field, f"Invalid value: {json.dumps(value)}: {message}")

    @staticmethod
    def forbidden(field: str, message: str) -> "Mistake":
        return Mistake(field, f"Forbidden: {message}", "FieldValueForbidden")

    @staticmethod
    def required(field: str, message: str = "") -> "Mistake":
        return Mistake(field, f"Required value: {message}" if message else "Required value", "FieldValueRequired")

    @staticmethod
    def too_long(field: str, most: int) -> "Mistake":
        return Mistake(field, f"Too long: may not be more than {most} bytes", "FieldValueTooLong")


def _details(kind: Kind, name: str, as_kind: bool = False) -> Object:
    named: Object = {"name": name} if name else {}
    if kind.group:
        named["group"] = kind.group
    return {**named, "kind": kind.name if as_kind else kind.plural}


def bad_request(message: str) -> Refused:
    return Refused(400, "BadRequest", message)


def unauthorized() -> Refused:
    return Refused(401, "Unauthorized", "Unauthorized")


def not_found(kind: Kind, name: str) -> Refused:
    return Refused(404, "NotFound", f'{kind.qualified} "{name}" not found', _details(kind, name))


def unknown_resource() -> Refused:
    return Refused(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> Refused:
    said = "the server does not allow this method on the requested resource"
    return Refused(405, "MethodNotAllowed", said, {})


def already_exists(kind: Kind, name: str) -> Refused:
    return Refused(409, "AlreadyExists", f'{kind.qualified} "{name}" already exists', _details(kind, name))


def conflict(kind: Kind, name: str, why: str) -> Refused:
    said = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}'
    return Refused(409, "Conflict", said, _details(kind, name))


def precondition_failed(kind: Kind, name: str, why: str) -> Refused:
    """Of a deletion; here the server names the kind where it names the resource elsewhere."""
    qualified = f"{kind.name}.{kind.group}" if kind.group else kind.name
    said = f'Operation cannot be fulfilled on {qualified} "{name}": {why}'
    return Refused(409, "Conflict", said, _details(kind, name, as_kind=True))


def too_large(limit: int) -> Refused:
    return Refused(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def unsupported(message: str) -> Refused:
    return Refused(415, "UnsupportedMediaType", message)


def invalid(kind: Kind, name: str, mistakes: Sequence[Mistake]) -> Refused:
    told = [f"{mistake.field}: {mistake.message}" for mistake in mistakes]
    qualified = f"{kind.name}.{kind.group}" if kind.group else kind.name
    said = f'{qualified} "{name}" is invalid: {told[0] if len(told) == 1 else "[" + ", ".join(told) + "]"}'
    causes = [{"reason": each.reason, "message": each.message, "field": each.field} for each in mistakes]
    return Refused(422, "Invalid", said, _details(kind, name, as_kind=True) | {"causes": causes})


def forbidden(kind: Kind, name: str, why: str, causes: Sequence[dict[str, Any]] = ()) -> Refused:
    called = f'{kind.qualified} "{name}"' if name else kind.qualified
    details = _details(kind, name) | ({"causes": [*causes]} if causes else {})
    return Refused(403, "Forbidden", f"{called} is forbidden: {why}", details)


def forbidden_path(user: str, verb: str, path: str) -> Refused:
    return Refused(403, "Forbidden", f'forbidden: User "{user}" cannot {verb} path "{path}"', {})


def expired(message: str) -> Refused:
    return Refused(410, "Expired", message)
