"""Where a function listens, and modules that wait to be imported."""

import sys

import pytest

from shared.web.deferred import Deferred
from shared.web.serve import FUNCTIONS, listen_address

EVERYWHERE = "0.0.0.0"  # noqa: S104  # what a container listens on


@pytest.mark.parametrize(
    ("address", "port", "expected"),
    [
        ("", "", (EVERYWHERE, 8080)),
        ("", "9000", (EVERYWHERE, 9000)),
        ("127.0.0.1:9001", "9000", ("127.0.0.1", 9001)),
        (":9002", "", (EVERYWHERE, 9002)),
    ],
)
def test_the_address_comes_from_the_environment(address: str, port: str, expected: tuple[str, int]) -> None:
    assert listen_address(address, port) == expected


@pytest.mark.parametrize("address", ["9000x", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1", "host:-1"])
def test_a_wrong_address_says_what_to_write(address: str) -> None:
    with pytest.raises(ValueError, match="must be host:port"):
        listen_address(address, "")


def test_six_functions_can_be_served() -> None:
    assert len(set(FUNCTIONS)) == 6


def test_a_deferred_module_is_imported_when_a_name_of_it_is_used() -> None:
    sys.modules.pop("colorsys", None)
    module = Deferred("colorsys")
    assert "colorsys" not in sys.modules
    assert module.rgb_to_hsv(1, 1, 1) == (0.0, 0.0, 1)
    assert "colorsys" in sys.modules
