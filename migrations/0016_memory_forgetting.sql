-- What was forgotten stays forgotten: its sources are still there, and nothing of them is remembered again.
CREATE TABLE codex_kb.memory_tombstones (
    task_id UUID NOT NULL REFERENCES codex_kb.codex_tasks (id) ON DELETE CASCADE,
    -- '' is any: a row with two of them stands for everything of the task, also for what it has yet to leave.
    kind TEXT NOT NULL DEFAULT '',
    source_ref TEXT NOT NULL DEFAULT '',
    forgotten_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, kind, source_ref)
);

-- What somebody had forgotten, and which runs had seen it: no text, and nothing that is found by.
CREATE TABLE codex_kb.memory_forgettings (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    forgotten_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    forgotten_by TEXT NOT NULL,
    choice JSONB NOT NULL,
    -- How many of each kind.
    memories JSONB NOT NULL,
    tasks INTEGER NOT NULL,
    vectors INTEGER NOT NULL,
    seen_by JSONB NOT NULL
);

-- The memories in this prompt file are to be taken out of it once its run is over.
ALTER TABLE codex_kb.codex_task_briefs ADD COLUMN purge BOOLEAN NOT NULL DEFAULT false;
CREATE INDEX idx_codex_task_briefs_purge ON codex_kb.codex_task_briefs (task_id, attempt) WHERE purge;

-- The oldest of a kind, of all tenants.
CREATE INDEX idx_codex_task_memory_kind_age ON codex_kb.codex_task_memory_index (kind, created_at);
