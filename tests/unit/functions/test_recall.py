"""The use cases of memory-query: who may ask, and what is answered."""

import hashlib
import math
from collections.abc import Sequence
from functools import partial
from uuid import UUID, uuid4

import pytest

from functions.embedder.embed import Outcome
from functions.memory_query.access import Access
from functions.memory_query.recall import PATIENCE_SECONDS, Recall
from functions.memory_query.recall import Cache as CacheRole
from shared.domain.errors import Forbidden, NotFound, Rejected, Unauthenticated, Unavailable
from shared.domain.ids import stable_id
from shared.domain.memory_index import Filters, MemoryRow
from shared.domain.task_token import mint_task_token
from shared.domain.token import Caller, check_api_token
from tests.contract.embedders.direct import Direct
from tests.contract.stores.conftest import Stores

SECRET = "k" * 32
ANYTHING = Filters("default", uuid4())


def hashed(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


class Model:
    """A model that knows two directions."""

    model = "compass"
    dimension = 2

    def describe(self) -> str:
        return "two directions"

    def __init__(self) -> None:
        self.away = False
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if self.away:
            raise Unavailable("the model is away")
        self.asked += texts
        return [[1.0, 0.0] if "east" in text else [0.0, 1.0] for text in texts]


class Cache(dict[tuple[str, str], Sequence[float]]):
    def get(self, model: str, text: str) -> Sequence[float] | None:  # type: ignore[override]
        return super().get((model, text))

    def put(self, model: str, text: str, vector: Sequence[float]) -> None:
        self[model, text] = vector


class NoCache:
    """Redis away."""

    def get(self, model: str, text: str) -> None:
        return None

    def put(self, model: str, text: str, vector: Sequence[float]) -> None:
        return None


def recalling(stores: Stores, model: Model, cache: CacheRole) -> Recall:
    return Recall(stores.search, stores.memories, Direct(model), cache)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def east(stores: Stores, model: Model) -> UUID:
    """A memory of the east, and one of the north."""
    stores.models.in_use("compass:2")
    for name in ("north", "east"):
        task = stores.accept(name, prompt=f"go {name}").run_id
        (text,) = stores.memories.missing([task], 1)
        (vector,) = Model().embed([text.text])
        identity = stable_id("memory", str(task))
        row = MemoryRow(identity, text, 0, text.text, hashed(text.text), vector, "compass:2")
        stores.memories.store([row], None, None)
    return task


def test_a_text_is_embedded_once_and_the_nearest_comes_first(stores: Stores, model: Model, east: UUID) -> None:
    recall = recalling(stores, model, Cache())
    for _ in range(3):
        answer = recall.by_text("what is in the east?", ANYTHING, 5)
        assert (answer.degraded, answer.model) == (False, "compass:2")
        assert answer.results[0].memory.task_id == east
    assert model.asked == ["what is in the east?"]


def test_without_a_cache_a_text_is_embedded_each_time(stores: Stores, model: Model, east: UUID) -> None:
    recall = recalling(stores, model, NoCache())
    assert recall.by_text("east", ANYTHING, 1) == recall.by_text("east", ANYTHING, 1)
    assert model.asked == ["east", "east"]


def test_without_a_model_words_are_compared_and_that_is_said(stores: Stores, model: Model, east: UUID) -> None:
    model.away = True
    answer = recalling(stores, model, Cache()).by_text("east", ANYTHING, 5)
    assert answer.degraded
    assert [recalled.memory.task_id for recalled in answer.results] == [east]


def test_a_question_that_the_model_refuses_is_compared_by_words(stores: Stores, east: UUID) -> None:
    class Refusing(Model):
        def embed(self, texts: Sequence[str]) -> list[list[float]]:
            raise Rejected("too long for this model")

    answer = recalling(stores, Refusing(), Cache()).by_text("east", ANYTHING, 5)
    assert answer.degraded
    assert [recalled.memory.task_id for recalled in answer.results] == [east]


def test_a_text_that_a_task_has_needs_no_model(stores: Stores, model: Model, east: UUID) -> None:
    answer = recalling(stores, model, NoCache()).by_text("go east\n", ANYTHING, 5)
    assert (answer.degraded, answer.results[0].memory.task_id) == (False, east)
    assert model.asked == []


def test_a_text_of_a_task_that_the_model_refuses_for_ever_is_not_sent_again(stores: Stores, model: Model) -> None:
    stores.models.in_use("compass:2")
    task = stores.accept("south", prompt="go south").run_id
    (text,) = stores.memories.missing([task], 1)
    refused = MemoryRow(stable_id("memory", str(task)), text, 0, text.text, hashed(text.text), None, "compass:2")
    stores.memories.store([refused], None, None)
    assert recalling(stores, model, Cache()).by_text("go south", ANYTHING, 5).degraded
    assert model.asked == []


def test_during_a_pause_nothing_is_asked_and_words_are_compared(stores: Stores, model: Model, east: UUID) -> None:
    direct = Direct(model)
    direct.paused = 17.0
    answer = Recall(stores.search, stores.memories, direct, Cache()).by_text("east", ANYTHING, 5)
    assert answer.degraded
    assert [recalled.memory.task_id for recalled in answer.results] == [east]
    assert direct.calls == []


def test_a_question_waits_for_a_few_seconds_and_no_longer(stores: Stores, model: Model) -> None:
    class Watched(Direct):
        def embed(self, texts: Sequence[str], patience: float) -> list[Outcome]:
            assert patience == PATIENCE_SECONDS <= 3
            return super().embed(texts, patience)

    answer = Recall(stores.search, stores.memories, Watched(model), Cache()).by_text("where?", ANYTHING, 5)
    assert (answer.degraded, model.asked) == (False, ["where?"])


def test_a_known_question_needs_no_model(stores: Stores, model: Model, east: UUID) -> None:
    recall = recalling(stores, model, Cache())
    recall.by_text("east", ANYTHING, 5)
    model.away = True
    assert not recall.by_text("east", ANYTHING, 5).degraded


def test_a_credential_in_a_question_reaches_neither_model_nor_cache(stores: Stores, model: Model) -> None:
    token = "ghp_" + "a1B2" * 9
    cache = Cache()
    recalling(stores, model, cache).by_text(f"why does {token} fail", ANYTHING, 5)
    assert token not in repr((model.asked, list(cache)))


def test_only_the_direction_of_a_vector_counts(stores: Stores, model: Model, east: UUID) -> None:
    recall = recalling(stores, model, Cache())
    for length in (1e-200, 1.0, 1e200):
        (first, _) = recall.by_vector([length, 0.0], ANYTHING, 5).results
        assert (first.memory.task_id, first.parts["vector"]) == (east, 1.0)


@pytest.mark.parametrize("vector", [[], [1.0], [1.0, 2.0, 3.0], [0.0, 0.0], [1.7e308, 1.7e308], [math.nan, 1.0]])
def test_a_vector_that_cannot_be_compared_is_refused(stores: Stores, model: Model, vector: list[float]) -> None:
    with pytest.raises(Rejected):
        recalling(stores, model, Cache()).by_vector(vector, ANYTHING, 5)


def caller(tenant: str, *scopes: str) -> Caller:
    return Caller(tenant, tenant, frozenset(scopes), hashlib.sha256(tenant.encode()).digest())


@pytest.fixture
def access(stores: Stores) -> Access:
    callers = [caller("default", "memory:read"), caller("elsewhere", "memory:read"), caller("blind", "tasks:read")]
    return Access(stores.memories, [SECRET], partial(check_api_token, callers))


def test_a_run_asks_about_itself(stores: Stores, access: Access) -> None:
    task = stores.accept(prompt="go west").run_id
    stores.launch(task)
    asker = access(task, mint_task_token(SECRET, task, 1))
    assert (asker.task_id, asker.prompt, asker.tenant, asker.attempt) == (task, "go west", "default", 1)
    for token in (
        mint_task_token(SECRET, task, 2),
        mint_task_token(SECRET, uuid4(), 1),
        mint_task_token("x" * 32, task, 1),
        None,
        "",
    ):
        with pytest.raises(Unauthenticated):
            access(task, token)


def test_a_caller_of_the_api_asks_about_the_tasks_of_its_tenant(stores: Stores, access: Access) -> None:
    task = stores.accept().run_id
    assert access(task, "default").attempt is None
    with pytest.raises(NotFound):
        access(task, "elsewhere")
    with pytest.raises(NotFound):
        access(uuid4(), "default")
    with pytest.raises(Forbidden):
        access(task, "blind")
