"""A twin as `facteur dev` starts it, for the tests of one module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.local.servers.postgres import Postgres
from shared.local.twin import Twin, TwinSettings
from tests.flow.laptop import Laptop

OWN = ("FACTEUR_POSTGRES_DSN", "FACTEUR_REDIS_URL", "OPENAI_API_KEY", "OTEL_EXPORTER_OTLP_ENDPOINT")


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
