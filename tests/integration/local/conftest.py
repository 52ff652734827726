"""What the databases of the tests leave outside of their folders is removed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.local.servers.postgres import Postgres


@pytest.fixture(autouse=True)
def nothing_left_outside(tmp_path: Path) -> Iterator[None]:
    yield
    for password in list(tmp_path.rglob("password")):
        Postgres(password.parent).erase()
