"""A callback that listens, and a container that reports to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.component.runner.callback_server import Callback, running
from tests.component.runner.container import Container


@pytest.fixture
def callback() -> Iterator[Callback]:
    with running() as callback:
        yield callback


@pytest.fixture
def container(tmp_path: Path, callback: Callback) -> Container:
    return Container(tmp_path, callback)
