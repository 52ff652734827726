"""The functions that a container speaks to, and containers whose agent is the real Codex CLI."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from shared.local.state import free_port
from shared.postgres.database import Database
from shared.postgres.scratch import scratch_database
from tests.codex.container import PROMPT, Container
from tests.codex.program import VARIABLE
from tests.codex.responses_api import API_KEY, Turn, model_of
from tests.component.conftest import Stage
from tests.component.functions import Function, await_health, end, running, settings, sink, start
from tests.integration.local.waiting import eventually

# The scripted model is tested everywhere, the CLI where `python -m tests.codex run` says which.
collect_ignore_glob = [] if VARIABLE in os.environ else ["test_real_*.py"]


class Enter(Protocol):
    def __call__(self, *turns: Turn, prompt: str = PROMPT, reports_to: str = "") -> Container: ...


def start_callback(environment: dict[str, str], log: Path, port: int) -> Function:
    """Callback on this port, without waiting for it; it hands out links to itself."""
    return start("callback", environment | {"FACTEUR_CALLBACK_URL": f"http://127.0.0.1:{port}"}, log, port)


@pytest.fixture(scope="module")
def stage(postgres_server: str, migrated_template: str) -> Iterator[Stage]:
    """A database for the tests of one module."""
    with scratch_database(postgres_server, migrated_template) as dsn:
        database = Database(dsn)
        yield Stage(dsn, database)
        database.close()


@pytest.fixture(scope="module")
def environment(stage: Stage, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of the functions."""
    with sink() as broker:
        yield settings(stage.dsn, broker.url, tmp_path_factory.mktemp("functions"), redis_url)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def callback(environment: dict[str, str], logs: Path) -> Iterator[Function]:
    function = start_callback(environment, logs / "callback", free_port())
    try:
        await_health(function)
        yield function
    finally:
        end(function)


@pytest.fixture(scope="module")
def memory_query(environment: dict[str, str], logs: Path) -> Iterator[Function]:
    with running("memory-query", environment, logs / "memory-query") as function:
        yield function


@pytest.fixture
def enter(
    stage: Stage, environment: dict[str, str], callback: Function, memory_query: Function, tmp_path: Path
) -> Iterator[Enter]:
    """Makes the container of a new task; its model follows a script.

    When the test is over, nothing runs there any more, the model was asked properly, and no secret was told.
    """
    with ExitStack() as stack:

        def enter_with(*turns: Turn, prompt: str = PROMPT, reports_to: str = "") -> Container:
            model = stack.enter_context(model_of(*turns))
            container = Container(tmp_path, stage, reports_to or callback.url, memory_query.url, model, prompt)
            stack.callback(container.close)
            entered.append(container)
            return container

        entered: list[Container] = []
        yield enter_with
        for container in entered:
            artifacts = Path(environment["FACTEUR_ARTIFACTS_DIR"]).rglob(f"{container.task}/**/*")
            _check(container, [callback.log, *(path for path in artifacts if path.is_file())])


def _check(container: Container, files: Sequence[Path]) -> None:
    eventually(lambda: not container.processes(), "the end of all that ran there")
    assert container.model.faults == []
    for told in (container.everything().encode(), *(file.read_bytes() for file in files)):
        assert API_KEY.encode() not in told
        assert container.token.encode() not in told
