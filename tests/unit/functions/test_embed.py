"""The embedder's use case."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from functions.embedder.embed import Embed, Outcome
from shared.domain.errors import Rejected, Unavailable
from shared.events.catalogue import TaskAccepted, announce
from shared.events.event import Event
from tests.contract.embedders.direct import Direct, FakeLater
from tests.contract.stores.conftest import Stores
from tests.unit.functions.conftest import Said


class Model:
    """A model of one dimension: the length of the text. Refuses texts with `bad` in them, and fails for `poison`."""

    model = "lengths"
    dimension = 1

    def __init__(self) -> None:
        self.away = False
        self.refused = 0
        self.asked: list[str] = []

    def describe(self) -> str:
        return "the length of a text"

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if self.away:
            raise Unavailable("the model is away")
        if any("poison" in text for text in texts):
            raise Unavailable("the model fails")
        if any("bad" in text for text in texts):
            self.refused += 1
            raise Rejected("a text is refused")
        self.asked += texts
        return [[float(len(text))] for text in texts]


class Switching(Direct):
    """Another model is in use after the first call."""

    def __init__(self, model: Model, stores: Stores) -> None:
        super().__init__(model)
        self._stores = stores

    def embed(self, texts: Sequence[str], patience: float) -> list[Outcome]:
        self._stores.models.switch("other:1")
        return super().embed(texts, patience)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def later() -> FakeLater:
    return FakeLater()


@pytest.fixture
def direct(model: Model) -> Direct:
    return Direct(model)


@pytest.fixture
def embed(stores: Stores, direct: Direct, later: FakeLater, said: Said) -> Embed:
    stores.models.in_use("lengths:1")
    return Embed(stores.memories, direct, later, said, lambda: stores.models.in_use("lengths:1") == "lengths:1")


def accepted(task: UUID) -> Event:
    return announce(TaskAccepted(task), "codex-intake", None)


def missing(stores: Stores) -> list[UUID]:
    return list(stores.memories.waiting(99))


def test_a_task_is_embedded_and_prepared_once(stores: Stores, embed: Embed, model: Model, said: Said) -> None:
    task = stores.accept(prompt="short").run_id
    for _ in range(3):
        embed.accepted(task, accepted(task), "00-trace")
    assert model.asked == ["short"]
    assert said.types == ["task.prepared.v1"]
    assert said[0].extensions == {"traceparent": "00-trace"}
    assert stores.status(task)[0] == "prepared"


def test_a_model_that_is_away_holds_no_task_up_and_is_asked_again(
    stores: Stores, embed: Embed, model: Model, later: FakeLater, said: Said
) -> None:
    task = stores.accept(prompt="later").run_id
    model.away = True
    embed.accepted(task, accepted(task), None)
    embed.catch_up()
    assert said.types == ["task.prepared.v1"]
    assert missing(stores) == [task]
    model.away = False
    embed.catch_up()
    assert model.asked == [], "it is not due yet"
    later.time_goes_by()
    embed.catch_up()
    embed.catch_up()
    assert (missing(stores), model.asked, later.waiting) == ([], ["later"], [])
    assert said.types == ["task.prepared.v1"]


def test_while_tasks_wait_a_new_one_joins_them_and_all_are_one_call(
    stores: Stores, embed: Embed, model: Model, direct: Direct, said: Said
) -> None:
    def new(name: str) -> None:
        task = stores.accept(name, prompt=name).run_id
        embed.accepted(task, accepted(task), None)

    model.away = True
    new("one")
    model.away, direct.paused = False, 17.0
    new("two")
    assert direct.calls == [["one"]], "the API wants a pause"
    direct.paused = 0.0
    new("three")
    assert said.types == ["task.prepared.v1"] * 3
    assert (missing(stores), [set(call) for call in direct.calls[1:]]) == ([], [{"one", "two", "three"}])
    new("four")
    assert direct.calls[2:] == [["four"]], "nobody waits any more"


def test_while_one_catches_up_the_others_do_not(stores: Stores, embed: Embed, direct: Direct, later: FakeLater) -> None:
    later.add([stores.accept().run_id])
    later.others = True
    embed.catch_up()
    assert (direct.calls, len(later.waiting)) == ([], 1)
    later.others = False
    embed.catch_up()
    assert (len(direct.calls), later.waiting) == (1, [])


def test_a_failure_costs_all_that_wait_one_call(
    stores: Stores, embed: Embed, model: Model, direct: Direct, later: FakeLater
) -> None:
    later.add([stores.accept(f"task {number}", prompt=f"text {number}").run_id for number in range(99)])
    model.away = True
    embed.catch_up()
    assert [len(call) for call in direct.calls] == [99]
    model.away = False
    later.time_goes_by()
    embed.catch_up()
    assert [len(call) for call in direct.calls] == [99, 99]
    assert (missing(stores), later.waiting) == ([], [])


def test_a_round_is_as_many_texts_as_are_one_call(
    stores: Stores, embed: Embed, direct: Direct, later: FakeLater
) -> None:
    for number in range(4):
        lines = "\n".join(f"text {number} line {line}" for line in range(600))
        stores.accept(f"task {number}", prompt=lines)
    direct.most = 8
    embed.catch_up()
    assert (missing(stores), later.waiting) == ([], [])
    pieces = len({piece for call in direct.calls for piece in call})
    assert sum(map(len, direct.calls)) == pieces
    assert max(map(len, direct.calls)) <= 8
    assert len(direct.calls) < 4


def test_an_api_that_wants_a_pause_is_asked_after_it(
    stores: Stores, embed: Embed, model: Model, direct: Direct, later: FakeLater
) -> None:
    task = stores.accept(prompt="later").run_id
    direct.paused = 17.0
    embed.catch_up()
    assert (model.asked, later.off) == ([], [])
    direct.paused = 0.0
    embed.catch_up()
    assert (missing(stores), model.asked) == ([], ["later"])
    assert stores.memories.prompt(task)


def test_a_text_that_is_refused_for_ever_is_sent_once_and_holds_nobody_up(
    stores: Stores, embed: Embed, model: Model, later: FakeLater, said: Said
) -> None:
    bad = stores.accept("one", prompt="a bad text").run_id
    good = stores.accept("two", prompt="a good text").run_id
    embed.accepted(bad, accepted(bad), None)
    for _ in range(3):
        embed.catch_up()
        later.time_goes_by()
    assert said.types == ["task.prepared.v1"]
    assert (missing(stores), later.waiting) == ([], [])
    assert (model.asked, model.refused) == (["a good text"], 1)
    stores.models.switch("another:1")
    assert stores.memories.waiting(9) == [bad, good]


def test_many_texts_that_cannot_be_embedded_hide_no_other(
    stores: Stores, embed: Embed, model: Model, later: FakeLater
) -> None:
    for number in range(300):
        stores.accept(f"task {number}", prompt="poison")
    stores.accept("last", prompt="a good text")
    for _ in range(3):
        embed.catch_up()
    assert model.asked == ["a good text"]


def test_the_same_text_is_sent_once_whoever_has_it(stores: Stores, embed: Embed, model: Model) -> None:
    one = stores.accept("one", prompt="the same").run_id
    embed.accepted(one, accepted(one), None)
    for name, tenant in (("two", "default"), ("three", "elsewhere")):
        stores.accept(name, prompt="the same", tenant=tenant)
    embed.catch_up()
    assert (missing(stores), model.asked) == ([], ["the same"])
    assert stores.search.nearest_to_task(one, 5)


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


def test_a_model_that_is_not_in_use_any_more_is_not_asked(
    stores: Stores, model: Model, later: FakeLater, said: Said
) -> None:
    stores.models.in_use("lengths:1")
    switching = Switching(model, stores)
    switching.most = 1
    embed = Embed(stores.memories, switching, later, said, lambda: stores.models.in_use("lengths:1") == "lengths:1")
    for name in ("one", "two", "three"):
        stores.accept(name)
    embed.catch_up()
    assert len(switching.calls) == 1
    embed.catch_up()
    assert len(switching.calls) == 1
