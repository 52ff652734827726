"""Memories by the hundred thousand: generated, clustered and seeded, by the server itself.

A vector is the centre of its cluster and two pieces of noise from a pool, which takes the server microseconds.
Row `n` is of task `n / 4` and cluster `n % 200`; its tags say which share of the rows it belongs to, whatever its
cluster. One task in seven is of the tenant `elsewhere`, and looks like the rest. Other tags are of whole clusters:
`far` takes away those that a question is near to.
"""

from collections.abc import Sequence
from uuid import UUID

import psycopg

from shared.domain.memory_index import Filters, Question
from shared.postgres import memory_candidates, memory_search
from shared.postgres.half_vector import HalfVector

CLUSTERS = 200
NOISES = 600
TABLES = "codex_kb.codex_task_memory_index, codex_kb.codex_task_memory_vectors, codex_kb.codex_tasks"
# Tag, and the one row of how many that has it.
SHARES = {"thousandth": 1000, "hundredth": 100, "tenth": 10, "half": 2, "all": 1}
# Classes of clusters: those of one, and all but those of one.
CLASSES = {"par": 2, "five": 5, "ten": 10}
BUT = "but"

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
    repository, namespaces, resource_kinds, tags)
SELECT md5('row ' || n)::uuid, md5('task ' || n / 4)::uuid,
    (ARRAY['prompt', 'change', 'outcome', 'event'])[n / 11 % 4 + 1],
    n, 0, CASE WHEN n / 4 % 7 = 0 THEN 'elsewhere' ELSE 'default' END,
    'repair subject' || n % 1999 || ' of area' || n % {clusters} || ' before number' || n, sha256(int8send(n)),
    'o/r' || n % {clusters}, ARRAY['area' || n % {clusters}], ARRAY['Deployment'],
    ARRAY(SELECT tag FROM unnest('{{{tags}}}'::text[], '{{{shares}}}'::int[]) AS share (tag, of)
            WHERE (hashint8(n) & 2147483647) % of = 0)
        || ARRAY(SELECT tag || n % {clusters} % of
            FROM unnest('{{{classes}}}'::text[], '{{{sizes}}}'::int[]) AS class (tag, of))
        || ARRAY(SELECT '{but}' || class FROM generate_series(0, 9) AS class WHERE class <> n % {clusters} % 10)
FROM generate_series(0::bigint, {rows} - 1) AS n
"""
_VECTORS = """
INSERT INTO codex_kb.codex_task_memory_vectors (model, content_hash, embedding)
SELECT 'generated:{dimension}', sha256(int8send(n)), l2_normalize(centre.v + one.v + other.v)
FROM generate_series(0::bigint, {rows} - 1) AS n
JOIN pool AS centre ON centre.i = n % {clusters}
JOIN pool AS one ON one.i = {clusters} + (n * 7919 + n / 613) % {noises}
JOIN pool AS other ON other.i = {clusters} + (n * 104729 + n / 7) % {noises}
"""
_MODEL = "INSERT INTO codex_kb.memory_models (model, state) VALUES ('generated:{dimension}', 'active')"


def generate(dsn: str, rows: int, dimension: int) -> str:
    """Fills the memory index, and returns the model of its vectors."""
    numbers = {"rows": rows, "dimension": dimension, "clusters": CLUSTERS, "noises": NOISES}
    generate_rows(dsn, rows)
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(_POOL.format(last=CLUSTERS + NOISES - 1, **numbers).encode())
        connection.execute(_VECTORS.format(**numbers).encode())
        connection.execute(_MODEL.format(**numbers).encode())
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"VACUUM ANALYZE {TABLES}")
    return f"generated:{dimension}"


def generate_rows(dsn: str, rows: int) -> None:
    """Fills the memory index without vectors."""
    shares = {"tags": ",".join(SHARES), "shares": ",".join(map(str, SHARES.values()))}
    classes = {"classes": ",".join(CLASSES), "sizes": ",".join(map(str, CLASSES.values())), "but": BUT}
    with psycopg.connect(dsn) as connection:
        # The tasks stand alone: nobody needs a hundred thousand ideas.
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(_TASKS.format(rows=rows).encode())
        connection.execute(_ROWS.format(rows=rows, clusters=CLUSTERS, **shares, **classes).encode())


def far(tag: str, number: int) -> str:
    """The tag of rows of one class, or of all but one, that has none of the rows like row `number`."""
    own = number % CLUSTERS
    return f"{BUT}{own % 10}" if tag == BUT else f"{tag}{(own + 1) % CLASSES[tag]}"


_QUESTION = """
SELECT l2_normalize(one.embedding + other.embedding)::vector::real[]
FROM codex_kb.codex_task_memory_vectors AS one, codex_kb.codex_task_memory_vectors AS other
WHERE one.content_hash = sha256(int8send(%(one)s)) AND other.content_hash = sha256(int8send(%(other)s))
"""
# Every row is compared, by its vector.
_EXACTLY = """
SELECT id, task_id, status, place FROM (
    SELECT n.id, n.task_id, task.status, dense_rank() OVER (ORDER BY made.embedding <=> %(vector)s::halfvec) AS place
    FROM codex_kb.codex_task_memory_index AS n JOIN codex_kb.codex_task_memory_vectors AS made USING (content_hash)
    JOIN codex_kb.codex_tasks AS task ON task.id = n.task_id
    WHERE n.tenant = 'default' AND made.model = %(model)s AND {condition}
) AS compared WHERE place <= 100 OR id = ANY(%(found)s)
"""


_READ = """
SELECT sum(seq_tup_read + idx_tup_fetch) FILTER (WHERE relname = 'codex_task_memory_index')::int,
    sum(idx_tup_fetch) FILTER (WHERE relname = 'codex_task_memory_vectors')::int
FROM pg_stat_xact_user_tables
"""


def question(dsn: str, number: int, dimension: int) -> list[float]:
    """A vector that is no row's: between two rows of one cluster."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(_QUESTION, {"one": number, "other": number + CLUSTERS}).fetchone()
    assert found and len(found[0]) == dimension
    return list(found[0])


def nearest(dsn: str, model: str, vector: Sequence[float], condition: str, limit: int) -> list[UUID]:
    """What an exact search with the same weights finds, one a task; `condition` is about `n` and `task`."""
    _, best = _exactly(dsn, model, vector, condition, [])
    return [id_ for _, id_ in best[:limit]]


def recall(
    dsn: str, model: str, vector: Sequence[float], condition: str, found: Sequence[UUID], limit: int
) -> tuple[int, float]:
    """How many an exact search finds, one a task, up to `limit`; and to how many of them there is one in `found`.

    As a share. What is as good as the last of them counts: rows may have the same vector, or be equally far.
    """
    scores, best = _exactly(dsn, model, vector, condition, found)
    wanted = [score for score, _ in best[:limit]]
    good = sum(scores.get(id_, 0.0) >= wanted[-1] for id_ in found)
    return len(wanted), min(good, len(wanted)) / max(1, len(wanted))


def _exactly(
    dsn: str, model: str, vector: Sequence[float], condition: str, found: Sequence[UUID]
) -> tuple[dict[UUID, float], list[tuple[float, UUID]]]:
    """The scores of the nearest rows and of `found`, and the best row of each task, best first."""
    with psycopg.connect(dsn) as connection:
        parameters = {"vector": HalfVector(vector), "model": model, "found": list(found)}
        rows = connection.execute(_EXACTLY.format(condition=condition).encode(), parameters).fetchall()
    scores: dict[UUID, float] = {}
    best: dict[UUID, tuple[float, UUID]] = {}
    for id_, task, status, place in rows:
        scores[id_] = (1.0 if status == "succeeded" else 0.97) / (60 + place)
        best[task] = max(best.get(task, (0.0, id_)), (scores[id_], id_))
    return scores, sorted(best.values(), reverse=True)


def plan(connection: psycopg.Connection, model: str, vector: Sequence[float], filters: Filters) -> str:
    """How PostgreSQL would search."""
    parameters = memory_search._parameters(Question(model, None, vector), filters, 10) | {
        "exact": memory_candidates.EXACT
    }
    connection.execute(memory_search._SETTINGS, {"candidates": parameters["candidates"]})
    explain = f"EXPLAIN {memory_search._SEARCH}".replace("bit(3072)", f"bit({len(vector)})")
    return "\n".join(row[0] for row in connection.execute(explain.encode(), parameters))


def rows_read(dsn: str, model: str, vector: Sequence[float], filters: Filters, exact: int) -> tuple[int, int]:
    """How many memories PostgreSQL reads for a search, and how many vectors it looks up one by one."""
    parameters = memory_search._parameters(Question(model, None, vector), filters, 10) | {"exact": exact}
    statement = memory_search._SEARCH.replace("bit(3072)", f"bit({len(vector)})")
    with psycopg.connect(dsn) as connection:
        connection.execute(memory_search._SETTINGS.encode(), {"candidates": parameters["candidates"]})
        connection.execute(statement.encode(), parameters)
        memories, vectors = connection.execute(_READ).fetchone() or (0, 0)
    return int(memories), int(vectors)
