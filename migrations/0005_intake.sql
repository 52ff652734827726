-- What intake keeps of a delivery besides the task, and deliveries that were merged into an earlier one's task.
ALTER TABLE codex_kb.codex_tasks
    -- The CodexTask protobuf as it came, fields unknown to this version included.
    ADD COLUMN delivery BYTEA,
    -- What the orchestrator's switches made of it: namespace, template, service account, parameters.
    ADD COLUMN orchestration JSONB NOT NULL DEFAULT '{}',
    -- The answer to its caller without the token, byte for byte what a replay gets.
    ADD COLUMN answer TEXT;

CREATE TABLE codex_kb.coalesced_deliveries (
    delivery_id TEXT PRIMARY KEY,
    run_id UUID NOT NULL REFERENCES codex_kb.codex_tasks (id) ON DELETE CASCADE,
    body_hash BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX idx_coalesced_deliveries_run ON codex_kb.coalesced_deliveries (run_id);

-- The earlier system spelled the source of a GitHub issue in two ways, and so had two ideas of one issue.
CREATE TEMPORARY TABLE doubled ON COMMIT DROP AS
SELECT other.id AS idea, kept.id AS kept_idea, theirs.id AS task, ours.id AS kept_task
FROM codex_kb.ideas AS other
JOIN codex_kb.ideas AS kept ON kept.source_type = 'github_issue' AND kept.source_ref = other.source_ref
LEFT JOIN codex_kb.tasks AS theirs ON theirs.idea_id = other.id
LEFT JOIN codex_kb.tasks AS ours ON ours.idea_id = kept.id AND ours.stage = theirs.stage
WHERE other.source_type = 'github.issue';

UPDATE codex_kb.task_runs SET task_id = kept_task FROM doubled WHERE task_id = task AND kept_task IS NOT NULL;
UPDATE codex_kb.task_runs_history SET task_id = kept_task FROM doubled WHERE task_id = task AND kept_task IS NOT NULL;
INSERT INTO codex_kb.task_dependencies (task_id, depends_on_task_id, dependency_type, created_at)
SELECT coalesce(dependent.kept_task, task_id), coalesce(needed.kept_task, depends_on_task_id), dependency_type, created_at
FROM codex_kb.task_dependencies
LEFT JOIN doubled AS dependent ON dependent.task = task_id
LEFT JOIN doubled AS needed ON needed.task = depends_on_task_id
WHERE dependent.kept_task IS NOT NULL OR needed.kept_task IS NOT NULL
ON CONFLICT DO NOTHING;
UPDATE codex_kb.tasks SET idea_id = kept_idea FROM doubled WHERE id = task AND kept_task IS NULL;
UPDATE codex_kb.policy_checks SET idea_id = kept_idea FROM doubled WHERE idea_id = idea;
DELETE FROM codex_kb.ideas USING doubled WHERE id = idea;
UPDATE codex_kb.ideas SET source_type = 'github_issue' WHERE source_type = 'github.issue';

-- While both systems write, the other spelling still arrives.
CREATE FUNCTION codex_kb.spell_source_type() RETURNS TRIGGER LANGUAGE plpgsql AS
$$ BEGIN NEW.source_type := 'github_issue'; RETURN NEW; END $$;
CREATE TRIGGER spell_source_type BEFORE INSERT OR UPDATE ON codex_kb.ideas
    FOR EACH ROW WHEN (NEW.source_type = 'github.issue') EXECUTE FUNCTION codex_kb.spell_source_type();
