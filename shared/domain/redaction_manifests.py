"""Finds what Kubernetes Secrets hold, as YAML and as JSON, even inside a string of another JSON text."""

import re
from collections.abc import Iterator

Span = tuple[int, int]

# What a name ends in whose value is secret.
NAME = (
    r"(?:(?P<strict>password|passwd|passphrase|(?<=[_-])pwd)|secret|token|authorization"
    r"|(?:api|private|access|secret|signing|encryption|account|auth)[_\- ]?key(?:_?base)?"
    r"|last-applied-configuration)(?:[_-]?[0-9]{1,3})?"
)
SECRET_NAME = re.compile(rf"{NAME}$", re.IGNORECASE)

_SECRET_KIND = re.compile(r"kind\\*\"?\s{0,9}:\s{0,9}\\*[\"']?Secret(?:List)?\b")
_YAML_HINT = re.compile(
    rf"stringData|{_SECRET_KIND.pattern}|last-applied-configuration|{NAME}[\"']?:[ \t]{{1,20}}[|>]",
    re.IGNORECASE,
)
_DOCUMENT = re.compile(r"(?m)^(?=---|```)")
_YAML_LINE = re.compile(
    r"(?m)^(?P<lead>[-+]?[ \t]*(?:-[ \t]+)*)"
    r"(?:(?P<quote>[\"']?)(?P<key>[\w./-]+)(?P=quote)[ \t]*:(?:[ \t]+|$|(?=\r)))?(?P<rest>[^\r\n]*)"
)
_JSON_DATA = re.compile(r"\"(data|stringData)\\*\"\s*:\s*\{")
_JSON_PART = re.compile(r"(\\*)\"(.*?)(?:(?<!\\)\1\"|\Z)|\\+|[{}]", re.DOTALL)


def manifest_values(text: str) -> Iterator[Span]:
    """Where the values of Secrets stand in the text, in no order."""
    yield from _json_values(text)
    offset = 0
    for document in _DOCUMENT.split(text):
        if _YAML_HINT.search(document):
            for start, end in _yaml_values(document):
                yield offset + start, offset + end
        offset += len(document)


def _yaml_values(document: str) -> Iterator[Span]:
    """What stands in and below the secret keys of a YAML document, a value at a time."""
    is_secret = _SECRET_KIND.search(document) is not None
    data_column: int | None = None
    below, start, end = -1, 0, 0
    for line in _YAML_LINE.finditer(document):
        column, rest = line.end("lead") - line.start(), line["rest"].rstrip()
        if not line[0].strip():
            continue
        if below >= 0 and column > below:
            start, end = start or line.end("lead"), line.start("rest") + len(rest)
            continue
        if below >= 0:
            yield start, end
            below = -1
        if data_column is not None and column <= data_column:
            data_column = None
        in_data = data_column is not None
        is_data = line["key"] == "stringData" or (line["key"] == "data" and is_secret)
        if is_data and not in_data and (not rest or rest.startswith("#")):
            data_column = column
        elif in_data or _hides_what_follows(line, is_data):
            below, start, end = column, line.start("rest") if rest else 0, line.start("rest") + len(rest)
    if below >= 0:
        yield start, end


def _hides_what_follows(line: re.Match[str], is_data: bool) -> bool:
    """Whether a line outside a Secret's data block holds, or begins, a secret value of its own."""
    key, rest = line["key"] or "", line["rest"].strip()
    if line["quote"] == '"' or rest in ("", "{}", "null"):
        return False
    block = rest[0] in "|>" and SECRET_NAME.search(key) is not None
    return is_data or block or key.endswith("last-applied-configuration")


def _json_values(text: str) -> Iterator[Span]:
    is_secret = _SECRET_KIND.search(text) is not None
    position = 0
    while data := _JSON_DATA.search(text, position):
        values, position = _flat_values(text, data.end())
        if is_secret or data[1] == "stringData":
            yield from values


def _flat_values(text: str, start: int) -> tuple[list[Span], int]:
    """The string values of the JSON object that begins at `start`, and where to go on.

    An object that holds another one is no Secret's data and has none.
    """
    values: list[Span] = []
    last, last_end = start, start
    for part in _JSON_PART.finditer(text, start):
        if part[0] == "}":
            return values, part.end()
        if part[0] == "{":
            return [], last
        if part[2] is not None:
            if text[last_end : part.start()].strip() == ":":
                values.append(part.span(2))
            last, last_end = part.span()
    return values, len(text)
