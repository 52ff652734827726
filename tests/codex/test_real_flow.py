"""The real Codex CLI at the end of the whole system, as `facteur dev` runs it."""

import os
import sys
from collections.abc import Iterator

import pytest

from shared.local.servers.postgres import Postgres
from shared.local.twin import Twin, TwinSettings
from tests.codex.container import CODEX, PATIENCE, configure
from tests.codex.program import VARIABLE
from tests.codex.responses_api import API_KEY, Answers, Hangs, Model, message, model_of
from tests.flow.conftest import OWN
from tests.flow.laptop import Laptop
from tests.integration.local.waiting import eventually

LEARNT = "The ziggurat is painted in ultramarine."
SCRIPT = (Answers([message(LEARNT)]), Answers([message("As before.")]), Hangs())


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with model_of(*SCRIPT) as model:
        yield model


@pytest.fixture(scope="module")
def laptop(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    """A twin whose runner is the wrapper around the CLI."""
    folder = tmp_path_factory.mktemp("twin")
    configure(folder / "codex-home", model.url)
    own = (f"CODEX_HOME={folder / 'codex-home'}", f"OPENAI_API_KEY={API_KEY}")
    command = ("env", *own, sys.executable, "-m", "shared.runner", "--", os.environ[VARIABLE], *CODEX)
    with pytest.MonkeyPatch.context() as environment:
        for name in OWN:
            environment.delenv(name, raising=False)
        with Twin(TwinSettings(folder / "state", runner_command=command, holdout_share=0), said=lambda _: None) as info:
            yield Laptop(info)
    Postgres(folder / "state" / "postgres").erase()


def last_input(model: Model) -> str:
    return str(model.requests[-1]["input"][-1]["content"][0]["text"])


def test_a_task_is_done_with_what_an_earlier_one_has_learnt(laptop: Laptop, model: Model) -> None:
    first = laptop.ended(laptop.submit("Find out what the temple of Ur looks like.", "first"), PATIENCE)
    assert (first["status"], first["result"], first["usage"]["inputTokens"]) == ("succeeded", LEARNT, 100)
    assert "<recalled-memory-" not in last_input(model)
    second = laptop.ended(laptop.submit("Is the ziggurat painted in ultramarine?", "second"), PATIENCE)
    assert (second["status"], second["result"]) == ("succeeded", "As before.")
    given = last_input(model)
    assert given.startswith("Is the ziggurat painted in ultramarine?")
    assert given.count("<recalled-memory-") == 1 and LEARNT in given
    assert model.faults == []


def test_a_task_that_is_canceled_ends_the_cli(laptop: Laptop, model: Model) -> None:
    task = laptop.submit("Think for ever.", "third")
    eventually(lambda: len(model.requests) == 3, "the model's thinking")
    assert laptop.post(f"/v1/codex/tasks/{task}/cancel", b"", laptop.bearer).status == 202
    assert laptop.ended(task, PATIENCE)["status"] == "canceled"
