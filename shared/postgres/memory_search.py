"""Search of the memory index: near vectors and fitting words, fused by rank, in one statement.

Candidates are found by their sketches (one bit a dimension), and then compared exactly. Where few rows match
the filters, every sketch is looked at; of more, the index of the model proposes candidates, and if the filters
leave it too few, every sketch is looked at after all. So there are always as many answers as match, up to the limit;
whether they are the nearest is as good as the sketches are, and the fewer the more rows there are.
"""

from typing import Any
from uuid import UUID

from shared.domain.memory import Memory, Recalled
from shared.domain.memory_index import Filters, Question
from shared.postgres.database import Database, Row
from shared.postgres.half_vector import HalfVector

# Up to so many matching rows are looked at one by one: it takes milliseconds, and misses nothing.
EXACT = 10_000
# So many are compared exactly, and more where a sketch has few bits: far more than are asked for.
CANDIDATES, CANDIDATE_BITS, MOST_CANDIDATES = 400, 200_000, 1000
# Words are looked up until they are expected in so many rows, rare ones first.
WORDS = 2000

# An answer is multiplied by these. They move a memory by a few ranks, and never bury one.
_OUTCOME = "CASE WHEN task.status = 'succeeded' THEN 1.0 WHEN task.finished_at IS NULL THEN 0.99 ELSE 0.97 END"
_AGE = "0.95 + 0.05 * 0.5 ^ (greatest(0, extract(epoch FROM now() - found.created_at)) / (90 * 86400))"

# Without these the index would stop at the first candidates, whatever the filters leave of them (iterative_scan),
# a plan would be kept that knows neither model nor filters (plan_cache_mode), old statistics could have all rows
# sorted although an index has them in order (enable_sort), and for milliseconds of work code would be compiled (jit)
# and processes started (max_parallel_workers_per_gather).
_SETTINGS = """
SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', %(candidates)s, true),
    set_config('hnsw.scan_mem_multiplier', '4', true), set_config('plan_cache_mode', 'force_custom_plan', true),
    set_config('enable_sort', 'off', true), set_config('jit', 'off', true),
    set_config('max_parallel_workers_per_gather', '0', true)
"""

_TABLE = "codex_kb.codex_task_memory_index AS memory"
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
_DISTANCE = f"memory.embedding <=> {_VECTOR}"
# bit(3072) stands for a string of the model's own dimension: a type takes no parameter.
_SKETCHES = "memory.sketch::bit(3072)", f"binary_quantize({_VECTOR})::bit(3072)"

# The statistics of PostgreSQL know how often words are used here; one that they do not list is rare.
_RARE_WORDS = """(
    SELECT string_agg(quoted, ' | ')::tsquery FROM (
        SELECT quoted, sum(uses) OVER rarest AS uses, row_number() OVER rarest AS place FROM (
            SELECT '''' || replace(replace(lexeme, '\\', '\\\\'), '''', '''''') || '''' AS quoted,
                coalesce(common.share, 0) * (SELECT CASE WHEN small THEN rows ELSE greatest(reltuples, 0) END
                    FROM size, pg_class WHERE oid = 'codex_kb.codex_task_memory_index'::regclass) AS uses
            FROM unnest(tsvector_to_array(to_tsvector('english', %(text)s::text))) AS lexeme
            LEFT JOIN (
                SELECT unnest(most_common_elems::text::text[]) AS lexeme, unnest(most_common_elem_freqs) AS share
                FROM pg_stats WHERE (schemaname, tablename, attname) = ('codex_kb', 'codex_task_memory_index', 'words')
            ) AS common USING (lexeme)
        ) AS one WINDOW rarest AS (ORDER BY uses, quoted)
    ) AS summed WHERE uses <= %(words)s OR place = 1)"""

_SEARCH = f"""
WITH size AS MATERIALIZED (
    SELECT count(*) AS rows, count(*) <= %(exact)s AS small
    FROM (SELECT FROM {_TABLE} WHERE {_FILTERS} LIMIT %(exact)s + 1) AS matching
), asked AS MATERIALIZED (
    SELECT %(vector)s::halfvec AS vector, {_RARE_WORDS} AS words
), proposed AS MATERIALIZED (
    SELECT {_ROW}, memory.embedding FROM {_TABLE}
    WHERE {_VECTOR} IS NOT NULL AND NOT {_SMALL} AND memory.model = %(model)s AND {_FILTERS}
    ORDER BY {_SKETCHES[0]} <~> {_SKETCHES[1]} LIMIT %(candidates)s
), enough AS MATERIALIZED (
    SELECT count(*) >= %(limit)s AND (SELECT count(*) FROM proposed) = %(candidates)s AS indeed FROM (
        SELECT DISTINCT CASE WHEN %(per_task)s THEN task_id ELSE id END
        FROM (SELECT DISTINCT ON (content_hash) id, task_id FROM proposed ORDER BY content_hash, id) AS content
    ) AS different
), listed AS MATERIALIZED (
    SELECT *, row_number() OVER (PARTITION BY task_id ORDER BY apart) AS of_task FROM (
        SELECT *, row_number() OVER (PARTITION BY content_hash ORDER BY apart) AS of_content FROM (
            SELECT {_ROW}, memory.embedding, hamming_distance({_SKETCHES[0]}, {_SKETCHES[1]}) AS apart FROM {_TABLE}
            WHERE {_VECTOR} IS NOT NULL AND NOT (SELECT indeed FROM enough) AND memory.model = %(model)s AND {_FILTERS}
        ) AS memory
    ) AS memory WHERE of_content = 1
), near AS (
    SELECT {_ROW}, {_DISTANCE} AS distance FROM proposed AS memory WHERE (SELECT indeed FROM enough)
    UNION ALL
    SELECT {_ROW}, {_DISTANCE} FROM (
        SELECT * FROM listed WHERE of_task <= 8 OR NOT %(per_task)s ORDER BY apart LIMIT %(candidates)s
    ) AS memory
), fitting AS (
    SELECT memory.*, ts_rank_cd(memory.words, {_WORDS}, 32) AS fit FROM (
        SELECT {_ROW}, memory.words FROM {_TABLE}
        WHERE memory.words @@ {_WORDS} AND {_FILTERS} LIMIT %(exact)s
    ) AS memory
), found AS (
    SELECT id, task_id, content_hash, created_at, sum(61 / (60.0::float + place)) AS fused FROM (
        SELECT id, task_id, content_hash, created_at, rank() OVER (ORDER BY distance) AS place FROM near
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
    memory.namespaces, memory.resource_kinds, memory.tags, memory.tenant, memory.created_at, answer.outcome,
    answer.score, CASE WHEN memory.model = %(model)s THEN 1 - ({_DISTANCE}) END AS vector,
    ts_rank_cd(memory.words, {_WORDS}, 32) AS lexical, answer.outcome_weight, answer.age_weight
FROM answer JOIN {_TABLE} ON memory.id = answer.id ORDER BY answer.score DESC, answer.id
"""  # noqa: S608  # the only things put in are the constants above

_PROMPT = """
SELECT content AS text, model, tenant, embedding::vector::real[] AS vector FROM codex_kb.codex_task_memory_index
WHERE task_id = %(task)s AND kind = 'prompt' AND embedding IS NOT NULL ORDER BY chunk LIMIT 1
"""


class PgMemorySearch:
    """Finds memories in `codex_task_memory_index`."""

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
        settings = {"candidates": str(parameters["candidates"])}
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
    return {
        "candidates": _candidates(question, limit),
        "words": WORDS,
        "limit": limit,
        "model": question.model,
        "text": question.text,
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


def _candidates(question: Question, limit: int) -> int:
    """The fewer bits a sketch has, the more rows look alike by it."""
    return max(8 * limit, min(max(CANDIDATES, CANDIDATE_BITS // len(question.vector or "?")), MOST_CANDIDATES))


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
