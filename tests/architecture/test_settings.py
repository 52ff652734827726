"""docs/configuration.md says what the settings classes read."""

import dataclasses
import importlib
from collections.abc import Iterator
from typing import Any

from tests.architecture.markdown import table
from tests.architecture.test_documents import VARIABLES
from tests.architecture.tree import FUNCTIONS, kebab, text

DOCUMENT = "docs/configuration.md"
_ABSENT = "-"


def _settings(function: str) -> Iterator[tuple[str, str]]:
    """Each variable that the function reads, and what it is without it."""
    settings: Any = importlib.import_module(f"functions.{function}.settings").Settings
    for field in dataclasses.fields(settings):
        yield field.metadata["env"], _default(field.default)


def _default(value: object) -> str:
    if value is dataclasses.MISSING:
        return "required"
    return f"`{value}`" if isinstance(value, str | int) else "none"


def settings_table() -> str:
    """The table of all settings, as the document must have it."""
    read = {function: dict(_settings(function)) for function in FUNCTIONS}
    variables = dict.fromkeys(name for settings in read.values() for name in settings)
    needed = sorted(variables, key=lambda name: (-sum(name in settings for settings in read.values()), name))
    rows = [[name, *(read[function].get(name, _ABSENT) for function in FUNCTIONS)] for name in needed]
    head = ["variable", *map(kebab, FUNCTIONS)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def test_the_table_of_settings_is_what_the_functions_read() -> None:
    expected = settings_table()
    assert expected in text(DOCUMENT), f"{DOCUMENT} must hold this table:\n\n{expected}\n"


def test_every_variable_is_explained() -> None:
    explained = {
        name
        for line in text(DOCUMENT).splitlines()
        if line.startswith("- ")
        for name in VARIABLES
        if name in line.replace(",", " ").replace(":", " ").split()
    }
    assert explained == VARIABLES


def test_the_table_has_a_row_for_every_setting() -> None:
    names = {name for function in FUNCTIONS for name, _ in _settings(function)}
    assert {row[0] for row in table(DOCUMENT, "variable")} == names
