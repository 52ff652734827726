-- The control-plane record of a run, and what its container reports.
CREATE TABLE codex_kb.codex_tasks (
    id UUID PRIMARY KEY REFERENCES codex_kb.task_runs (id) ON DELETE CASCADE,
    caller TEXT NOT NULL,
    tenant TEXT NOT NULL,
    prompt TEXT NOT NULL,
    stage TEXT NOT NULL,
    mode TEXT NOT NULL,
    repository TEXT NOT NULL DEFAULT '',
    base TEXT NOT NULL DEFAULT '',
    head TEXT NOT NULL DEFAULT '',
    targets JSONB NOT NULL DEFAULT '[]',
    tags TEXT[] NOT NULL DEFAULT '{}',
    metadata JSONB NOT NULL DEFAULT '{}',
    priority SMALLINT NOT NULL DEFAULT 0,
    deadline_seconds INTEGER NOT NULL,
    body_hash BYTEA NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    result TEXT NOT NULL DEFAULT '',
    -- Counts the launches; a writer of an earlier attempt is refused.
    attempt INTEGER NOT NULL DEFAULT 0,
    token_hash BYTEA,
    kubernetes_job_name TEXT,
    argo_workflow_name TEXT,
    temporal_workflow_id TEXT,
    usage JSONB NOT NULL DEFAULT '{}',
    traceparent TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    launched_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ
);
CREATE INDEX idx_codex_tasks_updated ON codex_kb.codex_tasks (updated_at);
CREATE INDEX idx_codex_tasks_open ON codex_kb.codex_tasks (created_at)
    WHERE finished_at IS NULL;

CREATE TABLE codex_kb.codex_task_events (
    id BIGSERIAL PRIMARY KEY,
    task_id UUID NOT NULL REFERENCES codex_kb.codex_tasks (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    content JSONB,
    received_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT codex_task_events_unique UNIQUE (task_id, event_id)
);
CREATE INDEX idx_codex_task_events_order ON codex_kb.codex_task_events (task_id, attempt, sequence);

CREATE TABLE codex_kb.codex_task_snapshots (
    id UUID PRIMARY KEY,
    task_id UUID NOT NULL REFERENCES codex_kb.codex_tasks (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    type TEXT NOT NULL CHECK (type IN ('before', 'after')),
    content TEXT NOT NULL,
    digest TEXT NOT NULL,
    artifact_keys TEXT[] NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX idx_codex_task_snapshots_task ON codex_kb.codex_task_snapshots (task_id, created_at);

-- An upload becomes a row of `artifacts` when its size and checksum have been verified.
CREATE TABLE codex_kb.codex_task_uploads (
    id UUID PRIMARY KEY,
    task_id UUID NOT NULL REFERENCES codex_kb.codex_tasks (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    name TEXT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    content_type TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX idx_codex_task_uploads_task ON codex_kb.codex_task_uploads (task_id);
