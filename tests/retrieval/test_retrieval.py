"""Memories are found about as well as when this was last judged: `python -m tests.retrieval` prints the figures."""

from uuid import uuid4

from tests.retrieval.measure import measure, ndcg, topics

# What was measured, less a margin. Who makes it better raises these.
LEAST = {"lexical": 0.60, "vector": 0.54, "fused": 0.61}


def test_relatives_are_found_and_fused_ranks_find_them_best(dsn: str) -> None:
    figures = measure(dsn)
    assert all(figures[way] >= least for way, least in LEAST.items()), figures
    assert figures["fused"] >= max(figures["lexical"], figures["vector"])


def test_the_set_is_large_enough_and_every_prompt_has_relatives() -> None:
    prompts = [prompt for each in topics().values() for prompt in each]
    assert len(prompts) == len(set(prompts)) >= 100
    assert min(map(len, topics().values())) >= 5


def test_the_measure_is_one_for_the_best_order_and_less_for_any_other() -> None:
    one, two, three, other = (uuid4() for _ in range(4))
    assert ndcg([one, two, three, other], {one, two, three}) == 1
    assert 0 < ndcg([other, one, two, three], {one, two, three}) < 1
    assert ndcg([other], {one}) == 0
