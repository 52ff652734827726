-- Cancelling, listing, and a timeline that can be followed.
ALTER TABLE codex_kb.codex_tasks
    ADD COLUMN cancel_requested_at TIMESTAMPTZ,
    ADD COLUMN cancel_requested_by TEXT;
CREATE INDEX idx_codex_tasks_tenant_created ON codex_kb.codex_tasks (tenant, created_at DESC, id DESC);

-- The transaction that wrote a row. Everything below `pg_snapshot_xmin` is decided: nothing can come before it any more.
-- The rows that are here already share the number of this migration, and their times order them.
ALTER TABLE codex_kb.run_events ADD COLUMN position XID8 NOT NULL DEFAULT pg_current_xact_id();
ALTER TABLE codex_kb.codex_task_events ADD COLUMN position XID8 NOT NULL DEFAULT pg_current_xact_id();
ALTER TABLE codex_kb.codex_task_memory_index ADD COLUMN position XID8 NOT NULL DEFAULT pg_current_xact_id();
ALTER TABLE codex_kb.memory_exposure ADD COLUMN position XID8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX idx_run_events_position ON codex_kb.run_events (task_run_id, position);
CREATE INDEX idx_codex_task_events_position ON codex_kb.codex_task_events (task_id, position);
CREATE INDEX idx_codex_task_memory_position ON codex_kb.codex_task_memory_index (task_id, position);
CREATE INDEX idx_memory_exposure_position ON codex_kb.memory_exposure (task_id, position);

-- Noting a launch may be repeated, at the same moment too.
CREATE UNIQUE INDEX idx_run_events_launch ON codex_kb.run_events (task_run_id, (payload->>'attempt'))
    WHERE event_type = 'launched';

INSERT INTO codex_kb.run_events (task_run_id, event_type, payload, emitted_at)
SELECT id, 'launched', jsonb_build_object('attempt', attempt, 'resource', kubernetes_job_name), launched_at
FROM codex_kb.codex_tasks WHERE launched_at IS NOT NULL
UNION ALL
SELECT id, status, jsonb_build_object('reason', reason, 'result', result), finished_at
FROM codex_kb.codex_tasks WHERE finished_at IS NOT NULL
ORDER BY 4;
