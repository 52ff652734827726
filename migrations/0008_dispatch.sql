-- Queue, leases, briefs and snapshots of the dispatcher.
ALTER TABLE codex_kb.codex_tasks
    -- Fences dispatchers: every hand-over of a launch raises it, and only its latest holder may note the launch.
    ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN lease_expires_at TIMESTAMPTZ,
    -- When this attempt was first claimed, and the time before which it is not.
    ADD COLUMN claimed_at TIMESTAMPTZ,
    ADD COLUMN not_before TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
    -- Its place in the queue, lower first: a point of priority is worth a minute of waiting.
    ADD COLUMN turn DOUBLE PRECISION,
    -- Where its job runs; '' until it is queued.
    ADD COLUMN namespace TEXT NOT NULL DEFAULT '',
    -- What caps of a branch count; '' for a task without one.
    ADD COLUMN branch TEXT GENERATED ALWAYS AS
        (CASE WHEN repository = '' OR head = '' THEN '' ELSE repository || '@' || head END) STORED,
    -- When everything that follows the end of the run was done.
    ADD COLUMN settled_at TIMESTAMPTZ;

UPDATE codex_kb.codex_tasks SET settled_at = now() WHERE finished_at IS NOT NULL;
UPDATE codex_kb.codex_tasks SET claimed_at = updated_at, lease_expires_at = updated_at WHERE status = 'launching';

CREATE INDEX idx_codex_tasks_queue ON codex_kb.codex_tasks (turn, id) WHERE status = 'queued';
CREATE INDEX idx_codex_tasks_active ON codex_kb.codex_tasks (caller, namespace, branch)
    WHERE status IN ('launching', 'running');
CREATE INDEX idx_codex_tasks_unsettled ON codex_kb.codex_tasks (finished_at)
    WHERE finished_at IS NOT NULL AND settled_at IS NULL;

-- The prompt file of an attempt as it was first rendered: whoever takes a launch over hands out the same.
CREATE TABLE codex_kb.codex_task_briefs (
    task_id UUID NOT NULL REFERENCES codex_kb.codex_tasks (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    prompt TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, attempt)
);

-- What differs from the snapshot before, one change a line.
ALTER TABLE codex_kb.codex_task_snapshots ADD COLUMN diff TEXT NOT NULL DEFAULT '';
