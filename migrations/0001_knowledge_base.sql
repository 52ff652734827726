-- The tables of the earlier system, with its columns, names and constraints.
CREATE SCHEMA IF NOT EXISTS codex_kb;
CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE codex_kb.ideas (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    source_type TEXT NOT NULL,
    source_ref TEXT NOT NULL,
    priority SMALLINT NOT NULL DEFAULT 0,
    status TEXT NOT NULL,
    risk_flags JSONB NOT NULL DEFAULT '{}',
    payload JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT ideas_source_unique UNIQUE (source_type, source_ref)
);

CREATE TABLE codex_kb.tasks (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    idea_id UUID NOT NULL REFERENCES codex_kb.ideas (id) ON DELETE CASCADE,
    stage TEXT NOT NULL,
    state TEXT NOT NULL,
    assignee TEXT,
    sla_deadline TIMESTAMPTZ,
    metadata JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT tasks_idea_stage_unique UNIQUE (idea_id, stage)
);
CREATE INDEX idx_tasks_state_updated ON codex_kb.tasks (state, updated_at DESC);

CREATE TABLE codex_kb.task_dependencies (
    task_id UUID NOT NULL REFERENCES codex_kb.tasks (id) ON DELETE CASCADE,
    depends_on_task_id UUID NOT NULL REFERENCES codex_kb.tasks (id) ON DELETE CASCADE,
    dependency_type TEXT NOT NULL DEFAULT 'hard',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, depends_on_task_id)
);

CREATE TABLE codex_kb.task_runs (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    task_id UUID NOT NULL REFERENCES codex_kb.tasks (id) ON DELETE CASCADE,
    external_run_id TEXT,
    status TEXT NOT NULL,
    queued_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    started_at TIMESTAMPTZ,
    completed_at TIMESTAMPTZ,
    input_ref TEXT,
    output_ref TEXT,
    retry_count SMALLINT NOT NULL DEFAULT 0,
    error_code TEXT,
    metadata JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    delivery_id TEXT NOT NULL,
    CONSTRAINT task_runs_delivery_unique UNIQUE (delivery_id)
);
CREATE INDEX idx_task_runs_task_created ON codex_kb.task_runs (task_id, created_at DESC);
CREATE INDEX idx_task_runs_status_updated ON codex_kb.task_runs (status, updated_at DESC);

CREATE TABLE codex_kb.task_runs_history (
    archived_run_id UUID PRIMARY KEY,
    task_id UUID NOT NULL REFERENCES codex_kb.tasks (id) ON DELETE CASCADE,
    snapshot JSONB NOT NULL,
    archived_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    retention_class TEXT NOT NULL DEFAULT 'default'
);

CREATE TABLE codex_kb.run_events (
    id BIGSERIAL PRIMARY KEY,
    task_run_id UUID NOT NULL REFERENCES codex_kb.task_runs (id) ON DELETE CASCADE,
    event_type TEXT NOT NULL,
    actor TEXT,
    payload JSONB NOT NULL DEFAULT '{}',
    emitted_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX idx_run_events_run_emitted ON codex_kb.run_events (task_run_id, emitted_at);
CREATE INDEX idx_run_events_emitted ON codex_kb.run_events (emitted_at);

CREATE TABLE codex_kb.artifacts (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    task_run_id UUID NOT NULL REFERENCES codex_kb.task_runs (id) ON DELETE CASCADE,
    artifact_type TEXT NOT NULL,
    uri TEXT NOT NULL,
    checksum TEXT,
    metadata JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX idx_artifacts_uri ON codex_kb.artifacts (uri);
CREATE INDEX idx_artifacts_run_type ON codex_kb.artifacts (task_run_id, artifact_type);

CREATE TABLE codex_kb.reflections (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    task_run_id UUID NOT NULL REFERENCES codex_kb.task_runs (id) ON DELETE CASCADE,
    author TEXT,
    reflection_type TEXT NOT NULL,
    content TEXT NOT NULL,
    embedding VECTOR(1536),
    embedding_version TEXT,
    metadata JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT reflections_task_run_type_unique UNIQUE (task_run_id, reflection_type)
);
-- HNSW where the earlier system had IVFFlat: lists built on an empty table found 3 of 10 neighbours.
CREATE INDEX idx_reflections_embedding ON codex_kb.reflections USING hnsw (embedding vector_cosine_ops);

CREATE TABLE codex_kb.policy_checks (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    idea_id UUID NOT NULL REFERENCES codex_kb.ideas (id) ON DELETE CASCADE,
    task_run_id UUID REFERENCES codex_kb.task_runs (id) ON DELETE SET NULL,
    policy_key TEXT NOT NULL,
    status TEXT NOT NULL,
    evidence_uri TEXT,
    metadata JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX idx_policy_checks_idea_key ON codex_kb.policy_checks (idea_id, policy_key, created_at DESC);

CREATE TABLE codex_kb.run_metrics (
    task_run_id UUID PRIMARY KEY REFERENCES codex_kb.task_runs (id) ON DELETE CASCADE,
    queue_latency_ms BIGINT,
    runtime_ms BIGINT,
    retry_latency_ms BIGINT,
    resource_usage JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX idx_run_metrics_runtime ON codex_kb.run_metrics (runtime_ms);
CREATE INDEX idx_run_metrics_queue_latency ON codex_kb.run_metrics (queue_latency_ms);
