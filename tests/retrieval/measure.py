"""nDCG@10 of each way to search, over prompts of which the relatives are known."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID

import yaml

from shared.domain.memory_index import Filters, Question
from shared.embeddings.offline import OfflineEmbedder
from shared.postgres.memory_search import PgMemorySearch
from tests.component.conftest import Stage
from tests.patience import patient

PROMPTS = Path(__file__).with_name("prompts.yaml")
PLACES = 10


def topics() -> dict[str, list[str]]:
    """The prompts of each topic."""
    read: dict[str, list[str]] = yaml.safe_load(PROMPTS.read_text())
    return read


def measure(dsn: str) -> Mapping[str, float]:
    """The mean over all prompts, each of which is asked about the others, by the way of searching."""
    database, embedder = patient(dsn), OfflineEmbedder()
    stage = Stage(dsn, database)
    tasks = {stage.remember(prompt): (topic, prompt) for topic, prompts in topics().items() for prompt in prompts}
    search = PgMemorySearch(database)
    gains: dict[str, list[float]] = {"lexical": [], "vector": [], "fused": []}
    for task, (topic, prompt) in tasks.items():
        (vector,) = embedder.embed([prompt])
        relatives = {other for other, (its_topic, _) in tasks.items() if its_topic == topic} - {task}
        model = f"{embedder.model}:{embedder.dimension}"
        asked = {
            "lexical": Question(model, prompt),
            "vector": Question(model, None, vector),
            "fused": Question(model, prompt, vector),
        }
        for way, question in asked.items():
            found = search.search(question, Filters("default", task), PLACES)
            gains[way].append(ndcg([one.memory.task_id for one in found], relatives))
    database.close()
    return {way: sum(each) / len(each) for way, each in gains.items()}


def ndcg(found: Sequence[UUID], relatives: set[UUID]) -> float:
    """1 if the relatives stand before everything else, 0 if none of them is among the first ten."""
    gained = sum(1 / math.log2(place + 2) for place, task in enumerate(found[:PLACES]) if task in relatives)
    return gained / sum(1 / math.log2(place + 2) for place in range(min(PLACES, len(relatives))))
