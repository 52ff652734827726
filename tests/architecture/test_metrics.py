"""What is counted is in the catalogue, and the document says the same."""

import ast
from collections.abc import Iterator

import pytest

from shared.instruments import INSTRUMENTS
from tests.architecture.markdown import table
from tests.architecture.tree import modules, tree

DOCUMENT = "docs/operations.md"
KINDS = {"count": "counter", "measure": "histogram"}


def _uses() -> Iterator[tuple[str, ast.Call]]:
    """Every call of `telemetry.count` and `telemetry.measure`."""
    for path in modules("functions", "shared"):
        for node in ast.walk(tree(path)):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and ast.unparse(called) in ("telemetry.count", "telemetry.measure"):
                assert isinstance(node, ast.Call)
                yield f"{path}:{node.lineno}", node


USES = dict(_uses())


def test_something_is_counted() -> None:
    assert len(USES) >= 4


@pytest.mark.parametrize("where", USES)
def test_a_use_names_an_instrument_of_the_catalogue_and_its_labels(where: str) -> None:
    call = USES[where]
    name = call.args[0]
    assert isinstance(call.func, ast.Attribute)
    assert isinstance(name, ast.Constant) and isinstance(name.value, str), "the name stands where it is used"
    instrument = INSTRUMENTS[name.value]
    assert instrument.kind == KINDS[call.func.attr]
    given = {keyword.arg for keyword in call.keywords} - {"amount"}
    assert given == instrument.labels.keys()


def test_telemetry_is_called_by_its_name_so_that_every_use_is_found() -> None:
    for path in modules("functions", "shared"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and node.module == "shared.telemetry":
                assert not {alias.name for alias in node.names} & KINDS.keys(), path


def test_the_names_of_metrics_say_what_they_are() -> None:
    for name, instrument in INSTRUMENTS.items():
        assert name.endswith({"counter": "_total", "histogram": "_ms"}[instrument.kind])
        assert instrument.kind == "counter" or instrument.unit == "ms"


def test_the_document_lists_the_metrics_as_the_catalogue_does() -> None:
    rows = [
        [f"`{name}`", instrument.kind, instrument.unit, ", ".join(sorted(instrument.labels)), instrument.meaning]
        for name, instrument in INSTRUMENTS.items()
    ]
    expected = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    assert table(DOCUMENT, "metric") == rows, f"{DOCUMENT} must hold these rows:\n\n{expected}\n"


def test_the_document_lists_the_values_of_every_label() -> None:
    values: dict[str, set[str]] = {}
    for instrument in INSTRUMENTS.values():
        for label, allowed in instrument.labels.items():
            values.setdefault(label, set()).update(allowed)
    listed = {row[0]: {value.strip(" `") for value in row[1].split(",")} for row in table(DOCUMENT, "label")}
    assert listed == values
