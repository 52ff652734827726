"""Coalescing: one call for many, each text once, and nobody waits longer than he wants to."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.domain.errors import FacteurError, Rejected, Throttled, Unavailable
from shared.embeddings.coalescing import AT_ONCE, MOST_REFUSED, Coalescing, Outcome
from shared.redis import pace as pace_module
from shared.redis.connection import Connection
from shared.redis.fresh_vectors import RedisFreshVectors
from shared.redis.pace import RedisPace
from tests.patience import PATIENCE

ALONE = Connection(None)


class Standing:
    """A time that does not pass."""

    def monotonic(self) -> float:
        return 1_000.0


class Api:
    """A vector is the length of the text. What is in `bad` is refused; waits for `gate` while it is closed."""

    model, dimension = "lengths", 1

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.bad: set[str] = set()
        self.failures: list[Unavailable] = []
        self.gate = threading.Event()
        self.gate.set()
        self.answered = threading.Event()

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.calls.append(list(texts))
        assert self.gate.wait(PATIENCE)
        if self.failures:
            raise self.failures.pop()
        if self.bad & set(texts):
            raise Rejected("refused")
        self.answered.set()
        return [[float(len(text))] for text in texts]


class Shelf:
    """Vectors of this process; claims of another are in `elsewhere`."""

    def __init__(self) -> None:
        self.kept: dict[str, Sequence[float]] = {}
        self.claimed: set[str] = set()
        self.elsewhere: set[str] = set()

    def get_many(self, model: str, texts: Sequence[str]) -> Mapping[str, Sequence[float]]:
        return {text: self.kept[text] for text in texts if text in self.kept}

    def claim(self, model: str, texts: Sequence[str]) -> Sequence[str]:
        mine = [text for text in texts if text not in self.elsewhere]
        self.claimed.update(mine)
        return mine

    def put_many(self, model: str, vectors: Mapping[str, Sequence[float]]) -> None:
        self.kept.update(vectors)
        self.claimed.difference_update(vectors)

    def release(self, model: str, texts: Sequence[str]) -> None:
        self.claimed.difference_update(texts)


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.gate.set()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause of the API gets no shorter, however long the test takes."""
    monkeypatch.setattr(pace_module, "time", Standing())


@pytest.fixture
def coalescing(api: Api, shelf: Shelf) -> Coalescing:
    return Coalescing(api, RedisPace(ALONE, "lengths"), shelf)


def vectors(outcomes: Sequence[Outcome]) -> list[float]:
    return [outcome[0] for outcome in outcomes if not isinstance(outcome, FacteurError)]


def failures(outcomes: Sequence[Outcome]) -> list[FacteurError]:
    return [outcome for outcome in outcomes if isinstance(outcome, FacteurError)]


def test_texts_that_come_together_are_one_call(coalescing: Coalescing, api: Api) -> None:
    texts = ["x" * length for length in range(1, 65)]
    api.gate.clear()
    with ThreadPoolExecutor(64) as threads:
        answers = [threads.submit(coalescing.embed, [text], PATIENCE) for text in texts]
        # A scheduler may hold some of the threads back for longer than the 20 milliseconds.
        until(lambda: api.calls and len(api.calls[0]) + len(coalescing._queue) == 64)
        api.gate.set()
        assert [vectors(answer.result()) for answer in answers] == [[float(len(text))] for text in texts]
    assert len(api.calls) <= 2


def test_who_comes_while_a_call_is_under_way_is_part_of_the_next(coalescing: Coalescing, api: Api) -> None:
    api.gate.clear()
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(coalescing.embed, ["first"], PATIENCE)
        until(lambda: api.calls)
        rest = [threads.submit(coalescing.embed, [f"text {number}"], PATIENCE) for number in range(5)]
        rest.append(threads.submit(coalescing.embed, ["first", "text 0"], PATIENCE))
        until(lambda: len(coalescing._queue) == 5)
        api.gate.set()
        assert [vectors(future.result()) for future in [first, *rest]] == [[5.0], *[[6.0]] * 5, [5.0, 6.0]]
    assert [len(call) for call in api.calls] == [1, 5]


def test_a_text_is_sent_once_however_often_it_is_asked_for(coalescing: Coalescing, api: Api) -> None:
    assert vectors(coalescing.embed(["a", "bb", "a"], PATIENCE)) == [1.0, 2.0, 1.0]
    assert vectors(coalescing.embed(["bb", "ccc"], PATIENCE)) == [2.0, 3.0]
    assert sorted(text for call in api.calls for text in call) == ["a", "bb", "ccc"]


def test_texts_of_one_caller_are_one_call_however_slowly_they_come(api: Api, shelf: Shelf) -> None:
    class Slow(list[str]):
        """Another thread has its turn before the second text, as on a busy machine."""

        def __iter__(self) -> Iterator[str]:
            for text in super().__iter__():
                yield text
                time.sleep(0.1)

    coalescing = Coalescing(api, RedisPace(ALONE, "lengths"), shelf, gather=0.0)
    assert vectors(coalescing.embed(Slow(["a", "bb"]), PATIENCE)) == [1.0, 2.0]
    assert api.calls == [["a", "bb"]]


def test_no_call_is_larger_than_an_answer_may_be(coalescing: Coalescing, api: Api) -> None:
    texts = [f"text {number}" for number in range(AT_ONCE + 10)]
    assert len(vectors(coalescing.embed(texts, PATIENCE))) == len(texts)
    assert [len(call) for call in api.calls] == [AT_ONCE, 10]
    large = [str(number) * 300_000 for number in range(4)]
    assert len(vectors(coalescing.embed(large, PATIENCE))) == 4
    assert [len(call) for call in api.calls[2:]] == [3, 1]


def test_a_text_among_many_that_is_refused_is_found_and_the_others_are_embedded(
    coalescing: Coalescing, api: Api, shelf: Shelf
) -> None:
    api.bad = {"text 37"}
    outcomes = coalescing.embed([f"text {number}" for number in range(64)], PATIENCE)
    assert [type(failure) for failure in failures(outcomes)] == [Rejected]
    assert isinstance(outcomes[37], Rejected)
    assert len(api.calls) == 13, "two calls for each halving of 64"
    assert not shelf.claimed


@pytest.mark.usefixtures("standing")
def test_an_api_that_refuses_everything_is_soon_left_alone(coalescing: Coalescing, api: Api) -> None:
    texts = [f"text {number}" for number in range(256)]
    api.bad = set(texts)
    outcomes = coalescing.embed(texts, PATIENCE)
    assert [type(failure) for failure in failures(outcomes)].count(Rejected) == MOST_REFUSED
    assert len(failures(outcomes)) == 256
    assert len(api.calls) < 30
    assert coalescing.pause() > 250


@pytest.mark.usefixtures("standing")
def test_a_failure_is_everybodys_and_nobody_asks_before_it_is_over(
    coalescing: Coalescing, api: Api, shelf: Shelf
) -> None:
    api.failures = [Throttled("slow down", 60)]
    assert [str(failure) for failure in failures(coalescing.embed(["a", "b"], PATIENCE))] == ["slow down"] * 2
    assert not shelf.claimed
    assert 59 < coalescing.pause() < 70
    (refused,) = failures(coalescing.embed(["c"], PATIENCE))
    assert isinstance(refused, Unavailable)
    assert refused.retry_after >= 59
    assert len(api.calls) == 1


def test_a_pause_in_the_middle_of_the_search_for_a_refused_text_is_kept() -> None:
    class Moody(Api):
        def embed(self, texts: Sequence[str]) -> list[list[float]]:
            if len(self.calls) == 2:
                self.failures = [Throttled("slow down", 60)]
            return super().embed(texts)

    moody = Moody()
    moody.bad = {"d"}
    outcomes = Coalescing(moody, RedisPace(ALONE, "moody"), Shelf()).embed(["a", "b", "c", "d"], PATIENCE)
    assert moody.calls == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"]]
    assert vectors(outcomes) == [1.0, 1.0]
    assert [type(failure) for failure in failures(outcomes)] == [Throttled, Throttled]


def test_who_does_not_want_to_wait_leaves_and_the_vector_is_kept(
    coalescing: Coalescing, api: Api, shelf: Shelf
) -> None:
    api.gate.clear()
    (late,) = failures(coalescing.embed(["slow"], 0.1))
    assert isinstance(late, Unavailable)
    api.gate.set()
    assert vectors(coalescing.embed(["slow"], PATIENCE)) == [4.0]
    assert (shelf.kept, len(api.calls)) == ({"slow": [4.0]}, 1)


def test_what_another_process_is_embedding_is_waited_for(coalescing: Coalescing, api: Api, shelf: Shelf) -> None:
    shelf.elsewhere = {"theirs"}
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(coalescing.embed, ["theirs", "ours"], PATIENCE)
        assert api.answered.wait(PATIENCE)
        shelf.kept["theirs"] = [7.0]
        assert vectors(waiting.result()) == [7.0, 4.0]
    assert api.calls == [["ours"]]


def test_what_another_process_has_given_up_is_taken_over(coalescing: Coalescing, api: Api, shelf: Shelf) -> None:
    shelf.elsewhere = {"theirs"}
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(coalescing.embed, ["theirs", "ours"], PATIENCE)
        assert api.answered.wait(PATIENCE)
        shelf.elsewhere.clear()
        assert vectors(waiting.result()) == [6.0, 4.0]


class TriedElsewhere(RedisPace):
    """The API has failed, and another process tries whether it is back: until `over`."""

    def __init__(self) -> None:
        super().__init__(ALONE, "lengths")
        self.asked = threading.Event()
        self.over = threading.Event()

    def enter(self) -> float:
        self.asked.set()
        return super().enter() if self.over.is_set() else 17.0


@pytest.mark.parametrize("back", [True, False])
def test_what_becomes_of_another_processs_try_is_waited_for(api: Api, shelf: Shelf, back: bool) -> None:
    pace = TriedElsewhere()
    coalescing = Coalescing(api, pace, shelf)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(coalescing.embed, ["a", "bb"], PATIENCE)
        assert pace.asked.wait(PATIENCE)
        assert api.calls == []
        if not back:
            pace.failed(60)
        pace.over.set()
        outcomes = waiting.result()
    assert api.calls == ([["a", "bb"]] if back else [])
    assert len(failures(outcomes)) == (0 if back else 2)
    assert not shelf.claimed


def test_how_many_texts_are_one_call_is_known_before(coalescing: Coalescing) -> None:
    assert coalescing.fitting([]) == 0
    assert coalescing.fitting(["short"] * 300) == AT_ONCE
    assert coalescing.fitting(["x" * 300_000] * 4) == 3


def test_a_mistake_of_ours_ends_one_call_and_not_the_thread(api: Api) -> None:
    class Broken(Shelf):
        def put_many(self, model: str, vectors: Mapping[str, Sequence[float]]) -> None:
            if len(api.calls) == 1:
                raise ZeroDivisionError
            super().put_many(model, vectors)

    coalescing = Coalescing(api, RedisPace(ALONE, "lengths"), Broken())
    assert [type(failure) for failure in failures(coalescing.embed(["a"], PATIENCE))] == [Unavailable]
    assert vectors(coalescing.embed(["a"], PATIENCE)) == [1.0]


def test_no_thread_starts_before_the_first_text(api: Api) -> None:
    before = embedders()
    coalescing = Coalescing(api, RedisPace(ALONE, "lengths"), RedisFreshVectors(ALONE))
    assert embedders() == before
    assert coalescing.embed([], PATIENCE) == []
    assert embedders() == before
    assert vectors(coalescing.embed(["a"], PATIENCE)) == [1.0]


def embedders() -> int:
    """How many threads embed; others may come and go."""
    return sum(thread.name == "embedder" for thread in threading.enumerate())


def until(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
