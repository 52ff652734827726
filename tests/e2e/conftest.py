"""The system that the environment names, and the tasks that several tests look at.

Everything that is sent bears a key of this run, so that the suite may be run against a living system
as often as one likes; nothing is taken away but what this run has made.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.e2e import target
from tests.e2e.system import System, Told
from tests.e2e.target import Door, Target, TargetError

Rows = Callable[..., list[dict[str, Any]]]
_SECONDS = 900  # for a whole task, from zero, in a fixture


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(_SECONDS))


@dataclass(frozen=True, slots=True)
class Done:
    """A task that has ended: what it is, what intake shows of it, and what was told while it ran."""

    id: str
    word: str
    shown: dict[str, Any]
    told: Sequence[Told]


@pytest.fixture(scope="session")
def under_test() -> Target:
    if not os.environ.get(target.BASE_URL):
        pytest.skip(f"{target.BASE_URL} names no system")
    try:
        return target.read(os.environ)
    except TargetError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def system(under_test: Target) -> System:
    return System(under_test)


@pytest.fixture(scope="session")
def key() -> str:
    """What nobody has used before."""
    return f"e2e-{token_hex(8)}"


@pytest.fixture(scope="session")
def first(system: System, key: str) -> Done:
    """A task that was followed from its acceptance to its end."""
    word = f"w{token_hex(6)}"
    answer = system.submit(f"Write the file {word}.md. Say in it what the {word} valve is for.", f"{key}-first")
    assert answer.status in (200, 202), answer.data  # 200 if a first answer was lost on its way
    task = answer.json()["taskId"]
    told = system.follow(task)
    return Done(task, word, system.ended(task), told)


@pytest.fixture(scope="session")
def later(system: System, key: str, first: Done) -> str:
    """A task that came after the first one had ended."""
    answer = system.submit(f"Test the {first.word} valve that an earlier task wrote about.", f"{key}-later")
    assert answer.status in (200, 202), answer.data  # 200 if a first answer was lost on its way
    task: str = answer.json()["taskId"]
    system.ended(task)
    return task


@pytest.fixture(scope="session")
def memory(under_test: Target) -> Door:
    if under_test.memory is None:
        pytest.skip(f"memory-query cannot be reached from here: {target.MEMORY_URL}")
    return under_test.memory


@pytest.fixture(scope="session")
def broker(under_test: Target) -> str:
    if not under_test.broker:
        pytest.skip(f"the broker cannot be reached from here: {target.BROKER_URL}")
    return under_test.broker


@pytest.fixture(scope="session")
def rows(under_test: Target) -> Iterator[Rows]:
    """What the database answers to a statement with parameters."""
    if not under_test.dsn:
        pytest.skip(f"the database cannot be reached from here: {target.POSTGRES_DSN}")
    with psycopg.connect(under_test.dsn, autocommit=True, row_factory=dict_row) as connection:

        def ask(statement: str, **parameters: object) -> list[dict[str, Any]]:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

        yield ask
