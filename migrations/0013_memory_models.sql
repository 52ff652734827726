-- Vectors in a table of their own, each content once for each model, and which model is in use.
CREATE TABLE codex_kb.memory_models (
    -- Name and dimension, as `name:3072`.
    model TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('active', 'filling', 'retiring')),
    since TIMESTAMPTZ NOT NULL DEFAULT now()
);
-- One model is in use, and one at most is made ready to follow it.
CREATE UNIQUE INDEX idx_memory_models_active ON codex_kb.memory_models (state) WHERE state = 'active';
CREATE UNIQUE INDEX idx_memory_models_filling ON codex_kb.memory_models (state) WHERE state = 'filling';

CREATE TABLE codex_kb.codex_task_memory_vectors (
    model TEXT NOT NULL,
    content_hash BYTEA NOT NULL,
    -- Of the model's own dimension; NULL for a text that the model refuses for ever.
    embedding HALFVEC,
    -- One bit a dimension, in the row itself: near vectors are found by it, and a vector is read only to be compared.
    sketch BIT VARYING STORAGE MAIN GENERATED ALWAYS AS (binary_quantize(embedding)) STORED,
    made_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (model, content_hash)
);
-- Those of a content, whichever models made them. (With an index of models alone, and statistics that do not know
-- of a model yet, a vector would be looked for among all of its model.)
CREATE INDEX idx_codex_task_memory_vectors_content ON codex_kb.codex_task_memory_vectors (content_hash);

INSERT INTO codex_kb.codex_task_memory_vectors (model, content_hash, embedding)
SELECT DISTINCT ON (content_hash, model) model, content_hash, embedding
FROM codex_kb.codex_task_memory_index WHERE embedding IS NOT NULL ORDER BY content_hash, model, id;

INSERT INTO codex_kb.codex_task_memory_vectors (model, content_hash)
SELECT DISTINCT refused_by, content_hash FROM codex_kb.codex_task_memory_index WHERE refused_by IS NOT NULL
ON CONFLICT DO NOTHING;

-- The model of most vectors has been in use; the others are of earlier ones.
INSERT INTO codex_kb.memory_models (model, state)
SELECT model, CASE row_number() OVER (ORDER BY count(embedding) DESC, model) WHEN 1 THEN 'active' ELSE 'retiring' END
FROM codex_kb.codex_task_memory_vectors GROUP BY model HAVING count(embedding) > 0;

-- Their indexes and the check go with the columns. The space comes back with VACUUM FULL.
ALTER TABLE codex_kb.codex_task_memory_index DROP COLUMN sketch;
ALTER TABLE codex_kb.codex_task_memory_index DROP COLUMN embedding, DROP COLUMN model, DROP COLUMN refused_by;

-- Whether the text has no vector of the model in use yet.
ALTER TABLE codex_kb.codex_task_memory_index ADD COLUMN waits BOOLEAN NOT NULL DEFAULT false;
UPDATE codex_kb.codex_task_memory_index AS memory SET waits = true
WHERE NOT EXISTS (SELECT FROM codex_kb.codex_task_memory_vectors AS made JOIN codex_kb.memory_models USING (model)
    WHERE made.content_hash = memory.content_hash AND state = 'active');
CREATE INDEX idx_codex_task_memory_waits ON codex_kb.codex_task_memory_index (task_id) WHERE waits;
CREATE INDEX idx_codex_task_memory_content ON codex_kb.codex_task_memory_index (content_hash);
