"""Memories by the hundred thousand: generated, clustered and seeded, by the server itself.

A vector is the centre of its cluster and two pieces of noise from a pool, which takes the server microseconds.
Row `n` is of task `n / 4` and cluster `n % 200`; its tags say which share of the rows it belongs to. One task in
seven is of the tenant `elsewhere`, and looks like the rest.
"""

from collections.abc import Sequence
from uuid import UUID

import psycopg

from shared.domain.memory_index import Filters, Question
from shared.postgres import memory_search
from shared.postgres.half_vector import HalfVector

CLUSTERS = 200
NOISES = 600
# Tag, and the one row of how many that has it.
SHARES = {"thousandth": 1000, "hundredth": 100, "tenth": 10, "half": 2, "all": 1}

_POOL = """
CREATE TEMP TABLE pool AS
SELECT i, (
    SELECT array_agg(random() - 0.5 + 0 * (i + d)) FROM generate_series(1, {dimension}) AS d
)::real[]::halfvec AS v
FROM generate_series(0, {last}) AS i
"""
_TASKS = """
INSERT INTO codex_kb.codex_tasks (id, caller, tenant, prompt, stage, mode, deadline_seconds, body_hash,
    status, finished_at)
SELECT md5('task ' || n)::uuid, 'tests', CASE WHEN n % 7 = 0 THEN 'elsewhere' ELSE 'default' END, 'task ' || n,
    'codex', 'direct', 60, '', CASE WHEN n % 19 = 1 THEN 'failed' ELSE 'succeeded' END, now()
FROM generate_series(0, ({rows} - 1) / 4) AS n
"""
_ROWS = """
INSERT INTO codex_kb.codex_task_memory_index (id, task_id, kind, source_ref, chunk, tenant, content, content_hash,
    model, embedding, repository, namespaces, resource_kinds, tags)
SELECT md5('row ' || n)::uuid, md5('task ' || n / 4)::uuid,
    (ARRAY['prompt', 'change', 'outcome', 'event'])[n / 11 % 4 + 1],
    n, 0, CASE WHEN n / 4 % 7 = 0 THEN 'elsewhere' ELSE 'default' END,
    'repair subject' || n % 1999 || ' of area' || n % {clusters} || ' before number' || n, sha256(int8send(n)),
    'generated:{dimension}', l2_normalize(centre.v + one.v + other.v), 'o/r' || n % {clusters},
    ARRAY['area' || n % {clusters}], ARRAY['Deployment'],
    ARRAY(SELECT tag FROM unnest('{{{tags}}}'::text[], '{{{shares}}}'::int[]) AS share (tag, of) WHERE n / 7 % of = 0)
FROM generate_series(0::bigint, {rows} - 1) AS n
JOIN pool AS centre ON centre.i = n % {clusters}
JOIN pool AS one ON one.i = {clusters} + (n * 7919 + n / 613) % {noises}
JOIN pool AS other ON other.i = {clusters} + (n * 104729 + n / 7) % {noises}
"""


def generate(dsn: str, rows: int, dimension: int) -> str:
    """Fills the memory index, and returns the model of its vectors."""
    numbers = {"rows": rows, "dimension": dimension, "clusters": CLUSTERS, "noises": NOISES}
    shares = {"tags": ",".join(SHARES), "shares": ",".join(map(str, SHARES.values()))}
    with psycopg.connect(dsn) as connection:
        # The tasks stand alone: nobody needs a hundred thousand ideas.
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("SELECT setseed(0.5)")
        connection.execute(_POOL.format(last=CLUSTERS + NOISES - 1, **numbers).encode())
        connection.execute(_TASKS.format(**numbers).encode())
        connection.execute(_ROWS.format(**numbers, **shares).encode())
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE codex_kb.codex_task_memory_index, codex_kb.codex_tasks")
    return f"generated:{dimension}"


_QUESTION = """
SELECT l2_normalize(one.embedding + other.embedding)::vector::real[]
FROM codex_kb.codex_task_memory_index AS one, codex_kb.codex_task_memory_index AS other
WHERE one.id = md5('row ' || %(one)s::text)::uuid AND other.id = md5('row ' || %(other)s::text)::uuid
"""
# Every row is compared, by its vector.
_NEAREST = """
SELECT n.id, n.task_id, task.status, rank() OVER (ORDER BY n.embedding <=> %(vector)s::halfvec) AS place
FROM codex_kb.codex_task_memory_index AS n JOIN codex_kb.codex_tasks AS task ON task.id = n.task_id
WHERE n.tenant = 'default' AND n.model = %(model)s AND {condition} ORDER BY place LIMIT 100
"""


def question(dsn: str, number: int, dimension: int) -> list[float]:
    """A vector that is no row's: between two rows of one cluster."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(_QUESTION, {"one": number, "other": number + CLUSTERS}).fetchone()
    assert found and len(found[0]) == dimension
    return list(found[0])


def nearest(dsn: str, model: str, vector: Sequence[float], condition: str, limit: int) -> list[UUID]:
    """What an exact search with the same weights finds, one a task; `condition` is about `n` and `task`."""
    with psycopg.connect(dsn) as connection:
        parameters = {"vector": HalfVector(vector), "model": model}
        rows = connection.execute(_NEAREST.format(condition=condition).encode(), parameters).fetchall()
    best: dict[UUID, tuple[float, UUID]] = {}
    for id_, task, status, place in rows:
        score = (1.0 if status == "succeeded" else 0.97) / (60 + place)
        best[task] = max(best.get(task, (0.0, id_)), (score, id_))
    return [id_ for _, id_ in sorted(best.values(), reverse=True)[:limit]]


def plan(connection: psycopg.Connection, model: str, vector: Sequence[float], filters: Filters) -> str:
    """How PostgreSQL would search."""
    parameters = memory_search._parameters(Question(model, None, vector), filters, 10) | {"exact": memory_search.EXACT}
    connection.execute(memory_search._SETTINGS, {"candidates": str(parameters["candidates"])})
    explain = f"EXPLAIN {memory_search._SEARCH}".replace("bit(3072)", f"bit({len(vector)})")
    return "\n".join(row[0] for row in connection.execute(explain.encode(), parameters))
