"""A twin as `facteur dev` starts it, for the tests of one module."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from shared.local.servers.postgres import Postgres
from shared.local.twin import Twin, TwinSettings
from tests.flow.laptop import Laptop

# Ends what hangs: the start of a twin and a minute until the next tick are nothing that hangs.
SECONDS = 900
OWN = ("FACTEUR_POSTGRES_DSN", "FACTEUR_REDIS_URL", "OPENAI_API_KEY", "OTEL_EXPORTER_OTLP_ENDPOINT")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    patiently(items, Path(__file__).parent)


def patiently(items: Sequence[pytest.Item], folder: Path) -> None:
    """Gives the tests of a folder that name no limit of their own the time that twins may need."""
    for item in items:
        if folder in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder; the environment of this shell is not the twin's."""
    folder = tmp_path_factory.mktemp("twin") / "state"
    with pytest.MonkeyPatch.context() as environment:
        for name in OWN:
            environment.delenv(name, raising=False)
        yield folder
    Postgres(folder / "postgres").erase()


@pytest.fixture(scope="module")
def laptop(state: Path) -> Iterator[Laptop]:
    with Twin(TwinSettings(state, holdout_share=0), said=lambda _: None) as info:
        yield Laptop(info)
