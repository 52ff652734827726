"""An embedding API whose vectors have neighbours: clustered, seeded, another space for each model.

A content that ends with `number17` has the vector of row 17: the centre of its cluster and two pieces of noise, as
`tests/integration/postgres/generated_memories.py` makes them. A question `q17x217x` lies between two rows, and has
no word that any content has. Any other text is of a cluster of its own, far from all of these.
"""

import argparse
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from operator import add
from typing import Any
from zlib import crc32

import msgspec
import psycopg

from shared.postgres.half_vector import HalfVector
from tests.contract.embedders.openai_server import Answer, openai_server
from tests.integration.postgres.generated_memories import CLUSTERS, NOISES, TABLES

_CONTENT = re.compile(r"number([0-9]+)$")
_QUESTION = re.compile(r"q([0-9]+)x([0-9]+)x")
_STRANGERS = CLUSTERS
_COPY = "COPY codex_kb.codex_task_memory_vectors (model, content_hash, embedding) FROM STDIN WITH (FORMAT binary)"


def question(number: int) -> str:
    """A text that is like two rows of one cluster."""
    return f"q{number}x{number + CLUSTERS}x"


@lru_cache(maxsize=4)
def _pool(model: str, dimension: int) -> list[list[float]]:
    dice = random.Random(f"{model} {dimension}")  # noqa: S311
    return [[dice.random() - 0.5 for _ in range(dimension)] for _ in range(CLUSTERS + 1 + NOISES)]


def _row(pool: list[list[float]], number: int, cluster: int) -> list[float]:
    one = pool[CLUSTERS + 1 + (number * 7919 + number // 613) % NOISES]
    other = pool[CLUSTERS + 1 + (number * 104729 + number // 7) % NOISES]
    return list(map(add, map(add, pool[cluster], one), other))


def vector(model: str, dimension: int, text: str) -> list[float]:
    """The vector of a text, of any length."""
    pool = _pool(model, dimension)
    if asked := _QUESTION.fullmatch(text):
        one, other = int(asked[1]), int(asked[2])
        return list(map(add, _row(pool, one, one % CLUSTERS), _row(pool, other, other % CLUSTERS)))
    if content := _CONTENT.search(text):
        return _row(pool, int(content[1]), int(content[1]) % CLUSTERS)
    return _row(pool, crc32(text.encode()), _STRANGERS)


class GeneratedApi:
    """Counts how often each text was embedded by which model."""

    def __init__(self) -> None:
        self.base_url = ""
        self.embedded: Counter[tuple[str, str]] = Counter()
        self.calls = 0
        self.lock = threading.Lock()

    def respond(self, request: Mapping[str, Any]) -> Answer:
        model, dimension, texts = request["model"], request["dimensions"], request["input"]
        data = [{"index": at, "embedding": vector(model, dimension, text)} for at, text in enumerate(texts)]
        with self.lock:
            self.calls += 1
            self.embedded.update((f"{model}:{dimension}", text) for text in texts)
        return Answer(body=msgspec.json.encode({"data": data}))


@contextmanager
def generated_api() -> Iterator[GeneratedApi]:
    with openai_server() as server:
        api = GeneratedApi()
        api.base_url, server.respond = server.base_url, api.respond
        yield api


def fill(dsn: str, model: str, rows: int) -> None:
    """Puts the vectors of `model`, which is in use, beside generated memories."""
    name, _, dimension = model.rpartition(":")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO codex_kb.memory_models (model, state) VALUES (%s, 'active')", [model])
        hashes = connection.execute("SELECT sha256(int8send(n)) FROM generate_series(0::int8, %s) AS n", [rows - 1])
        with connection.cursor() as cursor, cursor.copy(_COPY.encode()) as copy:
            for number, (content_hash,) in enumerate(hashes):
                copy.write_row([model, content_hash, HalfVector(vector(name, int(dimension), f"number{number}"))])
        connection.execute(f"VACUUM ANALYZE {TABLES}".encode())


def main() -> None:
    """Serves until the process is ended, and prints its URL first."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with generated_api() as api:
        print(api.base_url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
