"""What every embedder keeps, whatever is behind it."""

import math

import pytest

from shared.domain.errors import Rejected
from shared.embeddings import Embedder

TEXTS = ["first: fix the parser", "second: raise the limit", "third: cache the wheel", "last: ünïcode 🙂"]


def test_no_texts_have_no_vectors(embedder: Embedder) -> None:
    assert embedder.embed([]) == []


def test_every_vector_has_the_dimension_and_unit_length(embedder: Embedder) -> None:
    for vector in embedder.embed(TEXTS):
        assert len(vector) == embedder.dimension
        assert math.hypot(*vector) == pytest.approx(1.0)


def test_vectors_come_in_the_order_of_the_texts(embedder: Embedder) -> None:
    together = embedder.embed(TEXTS)
    alone = [embedder.embed([text])[0] for text in TEXTS]
    assert together == alone
    assert embedder.embed(TEXTS[::-1]) == together[::-1]


def test_the_same_text_has_the_same_vector(embedder: Embedder) -> None:
    first, again = embedder.embed([TEXTS[0], TEXTS[0]])
    assert first == again == embedder.embed([TEXTS[0]])[0]


def test_different_texts_have_different_vectors(embedder: Embedder) -> None:
    assert len({tuple(vector) for vector in embedder.embed(TEXTS)}) == len(TEXTS)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_is_rejected(embedder: Embedder, text: str) -> None:
    with pytest.raises(Rejected, match="empty"):
        embedder.embed(["fine", text])


def test_a_very_long_text_and_a_broken_character_have_a_vector(embedder: Embedder) -> None:
    long, broken = embedder.embed(["wörter " * 20_000, "half a pair: \ud83d"])
    assert len(long) == len(broken) == embedder.dimension


def test_people_are_told_which_model_it_is(embedder: Embedder) -> None:
    assert embedder.model in embedder.describe()
