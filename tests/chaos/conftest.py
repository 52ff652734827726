"""Demos and twins of the tests end with them, whatever happens."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from shared.local.servers.postgres import Postgres
from shared.local.watchdog import reap
from tests.chaos.fire import Demo
from tests.flow.conftest import OWN, patiently

Start = Callable[..., Demo]


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    patiently(items, Path(__file__).parent)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder; the environment of this shell is not the twin's."""
    for name in OWN:
        monkeypatch.delenv(name, raising=False)
    yield tmp_path / "state"
    Postgres(tmp_path / "state" / "postgres").erase()


@pytest.fixture
def start(state: Path) -> Iterator[Start]:
    """Starts `facteur demo` on the state folder, with more variables where they are given."""
    demos: list[Demo] = []

    def begin(**more: str) -> Demo:
        demos.append(Demo(state, **more))
        return demos[-1]

    yield begin
    for demo in demos:
        demo.kill()
    if (state / "twin.json").exists():
        reap(demos[-1].twin_id, grace=0.0)
