-- What a task leaves behind for later ones, and which task was shown what.
CREATE TABLE codex_kb.codex_task_memory_index (
    id UUID PRIMARY KEY,
    task_id UUID NOT NULL REFERENCES codex_kb.codex_tasks (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    source_ref TEXT NOT NULL,
    chunk INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    content TEXT NOT NULL,
    content_hash BYTEA NOT NULL,
    -- Any dimension, with the model beside it; both NULL until the embedder could make the vector.
    model TEXT,
    embedding HALFVEC,
    repository TEXT NOT NULL DEFAULT '',
    namespaces TEXT[] NOT NULL DEFAULT '{}',
    resource_kinds TEXT[] NOT NULL DEFAULT '{}',
    tags TEXT[] NOT NULL DEFAULT '{}',
    words TSVECTOR GENERATED ALWAYS AS (to_tsvector('english', content)) STORED,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT codex_task_memory_source_unique UNIQUE (task_id, kind, source_ref, chunk),
    CONSTRAINT codex_task_memory_vector_has_model CHECK ((embedding IS NULL) = (model IS NULL))
);
CREATE INDEX idx_codex_task_memory_words ON codex_kb.codex_task_memory_index USING gin (words);
CREATE INDEX idx_codex_task_memory_tenant ON codex_kb.codex_task_memory_index (tenant, model);
-- What the embedder still has to do.
CREATE INDEX idx_codex_task_memory_pending ON codex_kb.codex_task_memory_index (task_id) WHERE embedding IS NULL;

CREATE TABLE codex_kb.memory_exposure (
    task_id UUID NOT NULL REFERENCES codex_kb.codex_tasks (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    memory_id UUID NOT NULL REFERENCES codex_kb.codex_task_memory_index (id) ON DELETE CASCADE,
    channel TEXT NOT NULL CHECK (channel IN ('prompt', 'query')),
    rank INTEGER NOT NULL,
    score REAL NOT NULL,
    shown_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, attempt, memory_id, channel)
);
CREATE INDEX idx_memory_exposure_memory ON codex_kb.memory_exposure (memory_id);
