"""The embedder's use case."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from functions.embedder.embed import Embed
from shared.domain.errors import Rejected, Unavailable
from shared.events.catalogue import TaskAccepted, announce
from shared.events.event import Event
from tests.contract.stores.conftest import Stores
from tests.unit.functions.conftest import Said


class Model:
    """A model of one dimension: the length of the text. Refuses texts with `bad` in them."""

    model = "lengths"
    dimension = 1

    def __init__(self) -> None:
        self.away = False
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if self.away:
            raise Unavailable("the model is away")
        if any("bad" in text for text in texts):
            raise Rejected("a text is refused")
        self.asked += texts
        return [[float(len(text))] for text in texts]


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def embed(stores: Stores, model: Model, said: Said) -> Embed:
    return Embed(stores.memories, model, said)


def accepted(task: UUID) -> Event:
    return announce(TaskAccepted(task), "codex-intake", None)


def missing(stores: Stores) -> list[UUID]:
    return [text.task_id for text in stores.memories.missing(None, "lengths:1", 99)]


def test_a_task_is_embedded_and_prepared_once(stores: Stores, embed: Embed, model: Model, said: Said) -> None:
    task = stores.accept(prompt="short").run_id
    for _ in range(3):
        embed.accepted(task, accepted(task), "00-trace")
    assert model.asked == ["short"]
    assert said.types == ["task.prepared.v1"]
    assert said[0].extensions == {"traceparent": "00-trace"}
    assert stores.status(task)[0] == "prepared"


def test_a_model_that_is_away_holds_no_task_up_and_is_asked_again(
    stores: Stores, embed: Embed, model: Model, said: Said
) -> None:
    task = stores.accept(prompt="later").run_id
    model.away = True
    embed.accepted(task, accepted(task), None)
    embed.catch_up()
    assert said.types == ["task.prepared.v1"]
    assert missing(stores) == [task]
    model.away = False
    embed.catch_up()
    embed.catch_up()
    assert (missing(stores), model.asked) == ([], ["later"])
    assert said.types == ["task.prepared.v1"]


def test_a_text_that_is_refused_for_ever_does_not_hold_others_up(
    stores: Stores, embed: Embed, model: Model, said: Said
) -> None:
    bad = stores.accept("one", prompt="a bad text").run_id
    good = stores.accept("two", prompt="a good text").run_id
    embed.accepted(bad, accepted(bad), None)
    embed.catch_up()
    assert said.types == ["task.prepared.v1"]
    assert missing(stores) == [bad]
    assert model.asked == ["a good text"]
    assert stores.memories.prompt(good)


def test_credentials_are_gone_before_the_model_sees_a_text(stores: Stores, embed: Embed, model: Model) -> None:
    token = "ghp_" + "a1B2" * 9
    task = stores.accept(prompt=f"clone with {token} please").run_id
    embed.accepted(task, accepted(task), None)
    assert "clone with" in model.asked[0]
    assert token not in model.asked[0]


def test_a_long_text_is_embedded_in_pieces(stores: Stores, embed: Embed, model: Model) -> None:
    task = stores.accept(prompt="a line of text\n" * 1000).run_id
    embed.accepted(task, accepted(task), None)
    assert len(model.asked) > 1
    assert missing(stores) == []


def test_what_a_run_reports_is_embedded_without_an_announcement(stores: Stores, embed: Embed, said: Said) -> None:
    task = stores.accept().run_id
    embed.reported(task, accepted(task))
    assert missing(stores) == []
    assert said == []
