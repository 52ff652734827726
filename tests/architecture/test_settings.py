"""docs/configuration.md says what the settings classes read, and every setting has its key."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from shared.settings import CONFIG_FILE, check, declared
from shared.settings_keys import KEYS, STRUCTURED
from shared.web.serve import ServerSettings, function_settings
from tests.architecture.markdown import fences, table
from tests.architecture.test_documents import VARIABLES
from tests.architecture.tree import FUNCTIONS, kebab, text

DOCUMENT = "docs/configuration.md"
_ABSENT = "-"


def _settings(function: str) -> Iterator[tuple[str, str]]:
    """Each variable that the function reads, and what it is without it."""
    for field in declared(function_settings(kebab(function))):
        yield field.metadata["env"], _default(field.default)


def _default(value: object) -> str:
    if value is dataclasses.MISSING:
        return "required"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if value and isinstance(value, str | int | float | Path) else "none"


def settings_table() -> str:
    """The table of all settings, as the document must have it."""
    read = {function: dict(_settings(function)) for function in FUNCTIONS}
    variables = dict.fromkeys(name for settings in read.values() for name in settings)
    needed = sorted(variables, key=lambda name: (-sum(name in settings for settings in read.values()), name))
    keys = {variable: f"`{key}`" for key, variable in KEYS.items()}
    rows = [[name, keys[name], *(read[function].get(name, _ABSENT) for function in FUNCTIONS)] for name in needed]
    head = ["variable", "key", *map(kebab, FUNCTIONS)]
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


def test_every_setting_has_a_key_and_every_key_a_setting() -> None:
    read = {name for function in FUNCTIONS for name, _ in _settings(function)}
    of_the_server = {field.metadata["env"] for field in declared(ServerSettings)}
    # The platform says PORT to each container; one file for all functions could not.
    assert set(KEYS.values()) == (read | of_the_server) - {"PORT"}
    assert len(set(KEYS.values())) == len(KEYS)
    assert KEYS.keys() >= STRUCTURED


def test_the_example_file_is_complete_for_all_functions(tmp_path: Path) -> None:
    (example,) = fences(DOCUMENT, "yaml")
    (tmp_path / "facteur.yaml").write_text(example)
    classes = [function_settings(kebab(function)) for function in FUNCTIONS]
    secrets = {"FACTEUR_TOKEN_SECRET": "s" * 32, "MINIO_SECRET_KEY": "s" * 32}
    environ = {CONFIG_FILE: str(tmp_path / "facteur.yaml"), **secrets}
    origins = {setting.variable: setting.origin for setting in check([*classes, ServerSettings], environ)}
    required = {name for function in FUNCTIONS for name, default in _settings(function) if default == "required"}
    assert required < origins.keys()
    assert [name for name, origin in origins.items() if origin != "file"] == [*secrets]
