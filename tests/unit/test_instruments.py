"""The catalogue of metrics keeps their labels few, whatever is counted."""

import pytest

from shared.instruments import INSTRUMENTS


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_no_value_that_the_catalogue_does_not_list_becomes_a_label(name: str) -> None:
    instrument = INSTRUMENTS[name]
    strange = dict.fromkeys((*instrument.labels, "task"), "7f3c")
    for given in ({}, strange):
        assert instrument.bounded(given) == dict.fromkeys(instrument.labels, "(unknown)")
    for label, allowed in instrument.labels.items():
        assert {instrument.bounded({label: value})[label] for value in allowed} == allowed


def test_the_catalogue_has_few_series() -> None:
    assert max(len(values) for one in INSTRUMENTS.values() for values in one.labels.values()) < 20
