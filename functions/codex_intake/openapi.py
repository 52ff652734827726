"""The OpenAPI document of codex-intake, made of the types that read requests and build answers.

`make openapi` writes it to `docs/openapi.json`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from typing import Annotated, Any
from uuid import UUID

import msgspec

from functions.codex_intake.operations import OPERATIONS, Answer, Operation
from shared.web.problems import Problem
from shared.web.requests import NO_NULL

Json = dict[str, Any]

_TITLE = "facteur: tasks"
_ABOUT = "Takes coding-agent tasks, runs each once, and tells what became of them."
_CALLERS = "An API token, or the token of a Kubernetes ServiceAccount. Each caller has scopes: tasks:write, tasks:read."
_REF = "#/components/schemas/{name}"
_WAIT = Annotated[int, msgspec.Meta(ge=0, description="Try again after so many seconds.")]
# What each error means here, and its headers; those that are not certain are marked by a question mark.
_ERRORS: Mapping[int, tuple[str, Mapping[str, Any]]] = {
    400: ("What was sent cannot be read, or does not fit.", {}),
    401: ("There is no token, or it is not known.", {"WWW-Authenticate": str}),
    403: ("The token lacks the scope.", {}),
    404: ("The caller's tenant has no such task, or the task no such artifact.", {}),
    405: ("The path has other methods.", {"Allow": str}),
    409: (
        "The key was used before with another body, or, with Retry-After, the same task is being accepted right now.",
        {"Retry-After?": _WAIT},
    ),
    413: ("The body is too large.", {}),
    415: ("The body is encoded in a way that is not read.", {}),
    422: ("What was sent can be read, and can never become a task.", {}),
    429: ("Too much at once.", {"Retry-After?": _WAIT}),
    503: ("Something that is needed is away.", {"Retry-After": _WAIT}),
}


@cache
def document() -> bytes:
    """The document as JSON."""
    return json.dumps(_document(), indent=2).encode() + b"\n"


def _document() -> Json:
    types = _types()
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(types, schemas, strict=True))
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        method, path = operation.route.split(" ")
        paths.setdefault(path, {})[method.lower()] = _operation(operation, schema_of, components)
    queries = {operation.query.__name__ for operation in OPERATIONS if operation.query}
    return {
        "openapi": "3.1.0",
        "info": {"title": _TITLE, "version": version("facteur"), "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queries} | {"Json": _json()},
            "responses": {str(status): _problem(status, schema_of) for status in _ERRORS},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": _CALLERS}},
        },
    }


def _types() -> list[Any]:
    """Every type that the document speaks of, each once."""
    found: list[Any] = [Problem, UUID]
    for _, headers in _ERRORS.values():
        found += headers.values()
    for operation in OPERATIONS:
        found += [operation.query, *operation.headers.values(), *operation.body.values()]
        for answer in operation.answers.values():
            found += [*answer.content.values(), *answer.headers.values()]
    return list(dict.fromkeys(kind for kind in found if kind is not None))


def _operation(operation: Operation, schema_of: Mapping[Any, Json], components: Mapping[str, Json]) -> Json:
    errors = sorted({*operation.errors, 405, 503, *((401, 403, 429) if operation.scope else ())})
    made: Json = {"operationId": operation.name, "summary": operation.summary}
    if operation.about:
        made["description"] = operation.about
    if parameters := list(_parameters(operation, schema_of, components)):
        made["parameters"] = parameters
    if operation.body:
        made["requestBody"] = {"required": True, "content": _content(operation.body, schema_of)}
    made["responses"] = {str(status): _answer(answer, schema_of) for status, answer in operation.answers.items()}
    made["responses"] |= {str(status): {"$ref": f"#/components/responses/{status}"} for status in errors}
    made["security"] = [{"token": [operation.scope]}] if operation.scope else []
    return made


def _parameters(operation: Operation, schema_of: Mapping[Any, Json], components: Mapping[str, Json]) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", operation.route):
        yield {"name": name, "in": "path", "required": True, "schema": schema_of[UUID]}
    for name, kind in operation.headers.items():
        yield {"name": name, "in": "header", "schema": schema_of[kind]}
    if operation.query:
        for name, schema in components[operation.query.__name__]["properties"].items():
            yield {"name": name, "in": "query", "schema": schema}


def _answer(answer: Answer, schema_of: Mapping[Any, Json]) -> Json:
    made: Json = {"description": answer.about}
    if answer.headers:
        made["headers"] = _headers(answer.headers, schema_of)
    if answer.content:
        made["content"] = _content(answer.content, schema_of)
    if answer.links:
        made["links"] = {name: {"operationId": name, "parameters": given} for name, given in answer.links.items()}
    return made


def _problem(status: int, schema_of: Mapping[Any, Json]) -> Json:
    about, headers = _ERRORS[status]
    content = {"application/problem+json": {"schema": schema_of[Problem]}}
    return {"description": about, "content": content} | ({"headers": _headers(headers, schema_of)} if headers else {})


def _headers(headers: Mapping[str, Any], schema_of: Mapping[Any, Json]) -> Json:
    return {
        name.rstrip("?"): {"required": not name.endswith("?"), "schema": schema_of[kind]}
        for name, kind in headers.items()
    }


def _content(content: Mapping[str, Any], schema_of: Mapping[Any, Json]) -> Json:
    return {media: {} if kind is None else {"schema": schema_of[kind]} for media, kind in content.items()}


def _json() -> Json:
    """Any JSON whose texts can be stored."""
    own = {"$ref": _REF.format(name="Json")}
    return {
        "description": "Anything, without U+0000 in its texts.",
        "pattern": NO_NULL,
        "propertyNames": {"pattern": NO_NULL},
        "additionalProperties": own,
        "items": own,
    }


if __name__ == "__main__":
    print(document().decode(), end="")
