"""Search of the memory index: near vectors and fitting words, fused by rank, in one statement.

Vectors are of contents, and a content may belong to several rows: filters are about rows, so vectors are joined.
Candidates are found by their sketches (one bit a dimension), and then compared exactly. Where few rows match
the filters, every sketch is looked at; of more, the index of the model proposes candidates. Every sketch is looked at
after all if the filters leave it too few, or take away the neighbourhood of the question: far from it the index
knows its way badly. Then only the rows of the nearest contents are looked up, and those of all if a few tasks have
the nearest. So there are always as many answers as match, up to the limit; whether they are the nearest is as good as
the sketches are. A content that many rows share is as good as one row: only the youngest of them are read.
"""

from typing import Any
from uuid import UUID

from shared.domain.memory import Memory, Recalled
from shared.domain.memory_index import Filters, Question
from shared.postgres import memory_candidates, memory_words
from shared.postgres.database import Database, Row
from shared.postgres.half_vector import HalfVector
from shared.postgres.memory_candidates import (
    AROUND,
    CONTENTS_PER_CANDIDATE,
    EXACT,
    MOST_CANDIDATES,
    ROWS_OF_CONTENT,
    ROWS_OF_TASK,
    VECTORS_PER_CANDIDATE,
    WALKED_PER_CANDIDATE,
)

# An answer is multiplied by these. They move a memory by a few ranks, and never bury one.
_OUTCOME = "CASE WHEN task.status = 'succeeded' THEN 1.0 WHEN task.finished_at IS NULL THEN 0.99 ELSE 0.97 END"
_AGE = "0.95 + 0.05 * 0.5 ^ (greatest(0, extract(epoch FROM now() - found.created_at)) / (90 * 86400))"

# Without these the index would stop at the first candidates, whatever the filters leave of them (iterative_scan),
# a plan would be kept that knows neither model nor filters (plan_cache_mode), old statistics could have all rows
# sorted although an index has them in order (enable_sort), and for milliseconds of work code would be compiled (jit)
# and processes started (max_parallel_workers_per_gather).
_SETTINGS = f"""
SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true),
    set_config('hnsw.ef_search', least({MOST_CANDIDATES}, greatest(%(candidates)s::int,
        (SELECT reltuples FROM pg_class WHERE oid = 'codex_kb.codex_task_memory_vectors'::regclass)
            / {VECTORS_PER_CANDIDATE}))::int::text, true),
    set_config('hnsw.scan_mem_multiplier', '4', true), set_config('plan_cache_mode', 'force_custom_plan', true),
    set_config('enable_sort', 'off', true), set_config('jit', 'off', true),
    set_config('max_parallel_workers_per_gather', '0', true)
"""  # noqa: S608  # the only things put in are the constants above

_TABLE = "codex_kb.codex_task_memory_index AS memory"
_VECTORS = "codex_kb.codex_task_memory_vectors AS made"
_FILTERS = """memory.tenant = %(tenant)s AND memory.task_id <> %(task)s
        AND (%(namespace)s::text IS NULL OR memory.namespaces @> ARRAY[%(namespace)s::text])
        AND (%(resource_kind)s::text IS NULL OR memory.resource_kinds @> ARRAY[%(resource_kind)s::text])
        AND (%(tags)s::text[] = '{}' OR memory.tags @> %(tags)s::text[])
        AND (%(repository)s::text IS NULL OR memory.repository = %(repository)s)
        AND (%(kind)s::text IS NULL OR memory.kind = %(kind)s)
        AND (%(days)s::int IS NULL OR memory.created_at > now() - %(days)s::int * interval '1 day')
        AND (%(outcome)s::text IS NULL OR EXISTS (SELECT FROM codex_kb.codex_tasks AS task
            WHERE task.id = memory.task_id AND task.status = %(outcome)s))"""
_ROW = "memory.id, memory.task_id, memory.content_hash, memory.created_at"
_SMALL = "(SELECT small FROM size)"
_VECTOR = "(SELECT vector FROM asked)"
_WORDS = "(SELECT words FROM asked)"
_PROPOSED = "current_setting('hnsw.ef_search')::int"
_AROUND = f"{AROUND} + greatest(0, {_PROPOSED} - %(candidates)s)"
_DISTANCE = f"embedding <=> {_VECTOR}"
# bit(3072) stands for a string of the model's own dimension: a type takes no parameter. The question's is made once,
# which takes many times as long as comparing two.
_SKETCHES = "made.sketch::bit(3072)", "(SELECT sketch FROM asked)"
_FAR = f"{_VECTOR} IS NOT NULL AND NOT {_SMALL} AND NOT (SELECT indeed FROM enough)"  # noqa: S608
_NEAREST = f"{CONTENTS_PER_CANDIDATE} * %(far_candidates)s"

_SEARCH = f"""
WITH matching AS MATERIALIZED (
    SELECT {_ROW} FROM {_TABLE} WHERE {_FILTERS} LIMIT %(exact)s + 1
), size AS MATERIALIZED (
    SELECT count(*) AS rows, count(*) <= %(exact)s AS small FROM matching
), asked AS MATERIALIZED (
    SELECT vector, binary_quantize(vector)::bit(3072) AS sketch, {memory_words.RARE} AS words
    FROM (SELECT %(vector)s::halfvec AS vector) AS question
), proposed AS MATERIALIZED (
    SELECT memory.*, made.embedding, made.place FROM (
        SELECT content_hash, embedding, row_number() OVER (ORDER BY {_SKETCHES[0]} <~> {_SKETCHES[1]}) AS place
        FROM {_VECTORS} WHERE {_VECTOR} IS NOT NULL AND NOT {_SMALL} AND made.model = %(model)s
    ) AS made CROSS JOIN LATERAL (
        SELECT {_ROW} FROM {_TABLE} WHERE memory.content_hash = made.content_hash AND {_FILTERS}
        ORDER BY memory.created_at DESC LIMIT {ROWS_OF_CONTENT}
    ) AS memory WHERE made.place <= {WALKED_PER_CANDIDATE} * %(candidates)s LIMIT {_PROPOSED}
), enough AS MATERIALIZED (
    SELECT count(*) >= %(limit)s AND (
        SELECT count(*) >= %(candidates)s AND count(DISTINCT content_hash) FILTER (WHERE place <= {_AROUND}) >= %(left)s
        FROM proposed
    ) AS indeed FROM (
        SELECT DISTINCT CASE WHEN %(per_task)s THEN task_id ELSE id END
        FROM (SELECT DISTINCT ON (content_hash) id, task_id FROM proposed ORDER BY content_hash, id) AS content
    ) AS different
), nearest AS MATERIALIZED ( -- the two tables are joined whole, by narrow rows: hence OFFSET
    SELECT content_hash FROM (
        SELECT content_hash, hamming_distance({_SKETCHES[0]}, {_SKETCHES[1]}) AS apart
        FROM {_VECTORS} WHERE {_FAR} AND made.model = %(model)s AND made.embedding IS NOT NULL OFFSET 0
    ) AS made WHERE content_hash IN (SELECT content_hash FROM {_TABLE} WHERE {_FILTERS})
    ORDER BY apart LIMIT {_NEAREST}
), theirs AS MATERIALIZED (
    SELECT memory.* FROM nearest CROSS JOIN LATERAL (
        SELECT {_ROW} FROM {_TABLE} WHERE memory.content_hash = nearest.content_hash AND {_FILTERS}
        ORDER BY memory.created_at DESC LIMIT {ROWS_OF_CONTENT}
    ) AS memory
), crowded AS MATERIALIZED (
    SELECT %(per_task)s AND (SELECT count(*) = {_NEAREST} FROM nearest)
        AND sum(least(rows, {ROWS_OF_TASK})) < %(candidates)s AS indeed
    FROM (SELECT count(*) AS rows FROM theirs GROUP BY task_id) AS one
), every AS MATERIALIZED (
    SELECT * FROM matching WHERE {_VECTOR} IS NOT NULL AND {_SMALL}
    UNION ALL
    SELECT * FROM theirs WHERE NOT (SELECT indeed FROM crowded)
    UNION ALL
    SELECT {_ROW} FROM {_TABLE} WHERE {_FAR} AND (SELECT indeed FROM crowded) AND {_FILTERS}
), listed AS MATERIALIZED (
    SELECT *, row_number() OVER (PARTITION BY task_id ORDER BY apart) AS of_task FROM (
        SELECT {_ROW}, made.embedding, hamming_distance({_SKETCHES[0]}, {_SKETCHES[1]}) AS apart
        FROM (
            SELECT *, row_number() OVER (PARTITION BY content_hash ORDER BY created_at DESC) AS of_content FROM every
        ) AS memory CROSS JOIN LATERAL (
            SELECT embedding, sketch FROM {_VECTORS}
            WHERE made.content_hash = memory.content_hash AND made.model = %(model)s
                AND made.embedding IS NOT NULL OFFSET 0
        ) AS made WHERE memory.of_content <= {ROWS_OF_CONTENT}
    ) AS memory
), near AS (
    SELECT {_ROW}, {_DISTANCE} AS distance FROM proposed AS memory WHERE (SELECT indeed FROM enough)
    UNION ALL
    SELECT {_ROW}, {_DISTANCE} FROM (
        SELECT * FROM listed WHERE of_task <= {ROWS_OF_TASK} OR NOT %(per_task)s ORDER BY apart
        LIMIT CASE WHEN {_SMALL} THEN %(candidates)s::bigint ELSE %(far_candidates)s END
    ) AS memory
), fitting AS (
    SELECT memory.*, ts_rank_cd(memory.words, {_WORDS}, 32) AS fit FROM (
        SELECT {_ROW}, memory.words FROM {_TABLE}
        WHERE memory.words @@ {_WORDS} AND {_FILTERS} LIMIT %(exact)s
    ) AS memory
), found AS (
    SELECT id, task_id, content_hash, created_at, sum(61 / (60.0::float + place)) AS fused FROM (
        SELECT id, task_id, content_hash, created_at, dense_rank() OVER (ORDER BY distance) AS place FROM near
        UNION ALL
        SELECT id, task_id, content_hash, created_at, rank() OVER (ORDER BY fit DESC) FROM fitting
    ) AS ranked GROUP BY id, task_id, content_hash, created_at
), weighted AS (
    SELECT found.id, found.task_id, found.content_hash, task.status AS outcome, {_OUTCOME} AS outcome_weight,
        {_AGE} AS age_weight, found.fused / (({_VECTOR} IS NOT NULL)::int + ({_WORDS} IS NOT NULL)::int)
            * {_OUTCOME} * ({_AGE}) AS score
    FROM found CROSS JOIN LATERAL (
        SELECT status, finished_at FROM codex_kb.codex_tasks WHERE id = found.task_id LIMIT 1
    ) AS task
), contents AS (
    SELECT DISTINCT ON (content_hash) * FROM weighted ORDER BY content_hash, score DESC, id
), answer AS (
    SELECT id, outcome, outcome_weight, age_weight, score FROM (
        SELECT *, row_number() OVER (PARTITION BY task_id ORDER BY score DESC, id) AS place FROM contents
    ) AS placed WHERE place = 1 OR NOT %(per_task)s ORDER BY score DESC, id LIMIT %(limit)s
)
SELECT memory.id, memory.task_id, memory.kind, memory.source_ref, memory.content AS text, memory.repository,
    memory.namespaces, memory.resource_kinds, memory.tags, memory.tenant, memory.created_at, memory.trust,
    memory.attempt, answer.outcome,
    answer.score, 1 - ({_DISTANCE}) AS vector,
    ts_rank_cd(memory.words, {_WORDS}, 32) AS lexical, answer.outcome_weight, answer.age_weight
FROM answer JOIN {_TABLE} ON memory.id = answer.id
LEFT JOIN {_VECTORS} ON made.content_hash = memory.content_hash AND made.model = %(model)s
ORDER BY answer.score DESC, answer.id
"""  # noqa: S608  # the only things put in are the constants above

# The model before is read while what is new has no vector of the one in use.
_PROMPT = """
SELECT content AS text, model, tenant, embedding::vector::real[] AS vector
FROM codex_kb.codex_task_memory_index JOIN codex_kb.codex_task_memory_vectors USING (content_hash)
JOIN codex_kb.memory_models USING (model)
WHERE task_id = %(task)s AND kind = 'prompt' AND embedding IS NOT NULL AND state <> 'filling'
ORDER BY state = 'active' DESC, since DESC, chunk LIMIT 1
"""


class PgMemorySearch:
    """Finds memories in `codex_task_memory_index`, by the vectors beside it."""

    def __init__(self, database: Database, exact: int = EXACT) -> None:
        """`exact`: up to so many matching rows are compared one by one, without the index."""
        self._database = database
        self._exact = exact

    def search(self, question: Question, filters: Filters, limit: int) -> list[Recalled]:
        """The memories most like the question, best first: as many as match, up to `limit`.

        The same content is found once. The score is at most 1, which means the first place in every list asked for;
        `parts` has cosine and lexical rank, and the weights of outcome and age.
        """
        parameters = _parameters(question, filters, limit) | {"exact": self._exact}
        statement = _SEARCH
        if question.vector is not None:
            statement = _SEARCH.replace("bit(3072)", f"bit({len(question.vector)})")
        settings = {"candidates": parameters["candidates"]}
        _, rows = self._database.together((_SETTINGS, settings), (statement, parameters))
        return [_recalled(row) for row in rows]

    def nearest_to_task(self, task: UUID, limit: int, least: float = 0.2) -> list[Recalled]:
        """What other tasks of the tenant left that is most like the task's prompt, best first, one a task.

        Empty while the prompt has no vector, and without what is less like it than `least` (cosine).
        """
        asked = self._database.one(_PROMPT, {"task": task})
        if asked is None:
            return []
        question = Question(asked["model"], asked["text"], asked["vector"])
        # What only shares words with it may stand among the best, and is left out.
        found = self.search(question, Filters(asked["tenant"], task), 4 * limit)
        return [recalled for recalled in found if recalled.parts.get("vector", 0) >= least][:limit]


def _parameters(question: Question, filters: Filters, limit: int) -> dict[str, Any]:
    bits = len(question.vector or "?")
    return {
        "candidates": memory_candidates.candidates(bits, limit),
        "far_candidates": memory_candidates.far_candidates(bits),
        "left": memory_candidates.left(bits),
        "limit": limit,
        "model": question.model,
        "text": question.text and memory_words.beginning(question.text),
        "vector": None if question.vector is None else HalfVector(question.vector),
        "tenant": filters.tenant,
        "task": filters.not_task,
        "namespace": filters.namespace,
        "resource_kind": filters.resource_kind,
        "tags": list(filters.tags),
        "repository": filters.repository,
        "kind": filters.kind,
        "outcome": filters.outcome,
        "days": filters.max_age_days,
        "per_task": filters.per_task,
    }


def _recalled(row: Row) -> Recalled:
    fields = dict(row)
    parts = {
        "vector": fields.pop("vector"),
        "lexical": fields.pop("lexical"),
        "outcome": fields.pop("outcome_weight"),
        "age": fields.pop("age_weight"),
    }
    score = float(fields.pop("score"))
    known = {name: float(value) for name, value in parts.items() if value is not None}
    return Recalled(Memory(**fields), score, known)
